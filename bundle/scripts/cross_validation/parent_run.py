# SPDX-License-Identifier: Apache-2.0

"""The run in MLflow that is the parent of the runs of all folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import mlflow
from mlflow.entities import LifecycleStage, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from monai.bundle import ConfigParser

from ..common.files import write_text
from ..tracking.mlflow_setup import check_experiment, tracked_at

__all__ = ["ParentRun"]


class ParentRun:
    """Start the parent run in MLflow, or resume the one that the folder remembers.

    If the run is resumed, its children that are still marked as running are marked as killed.

    Use it in a ``with`` statement. At the end of the statement, the run ends as FINISHED, as FAILED after an error, or
    as KILLED after Ctrl-C or a signal.

    Args:
        config: config of the training, which names the place where runs are tracked.
        folder: folder of the cross-validation, where the id of the run is saved.
    """

    def __init__(self, config: ConfigParser, folder: Path) -> None:
        uri = config.get_parsed_content("tracking_uri")
        with tracked_at(uri):
            self.client = mlflow.MlflowClient(uri)
        id_file = folder / ".parent_run"
        if id_file.is_file() and self._resume(id_file.read_text(encoding="utf-8")):
            return
        name = config.get_parsed_content("experiment_name")
        existing = self.client.get_experiment_by_name(name)
        check_experiment(existing)
        location = config.get_parsed_content("artifact_location")
        experiment_id = (
            existing.experiment_id if existing else self.client.create_experiment(name, artifact_location=location)
        )
        self.run_id = self.client.create_run(experiment_id, run_name=folder.name).info.run_id
        write_text(id_file, self.run_id)

    def _resume(self, run_id: str) -> bool:
        """Resume a run; return False if it does not exist or was deleted."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # the database was deleted or replaced
                return False
            raise
        if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
            return False
        self.run_id = run_id
        children = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'"
        for child in self.client.search_runs([run.info.experiment_id], filter_string=children):
            if child.info.status == _status(RunStatus.RUNNING):
                self.client.set_terminated(child.info.run_id, _status(RunStatus.KILLED))
        self.client.update_run(run_id, status=_status(RunStatus.RUNNING))
        return True

    def __enter__(self) -> ParentRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = RunStatus.FINISHED
        if error is not None:
            status = RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED
        self.client.set_terminated(self.run_id, _status(status))

    def log(self, means: Mapping[str, float], folder: Path) -> None:
        """Log the means over the complete folds, and the tables.

        Args:
            means: mean of every score, by name.
            folder: folder of the cross-validation.
        """
        for name, value in means.items():
            self.client.log_metric(self.run_id, name, value)
        for file in ("folds.md", "folds.json", "split.json", "data_check.json"):
            self.client.log_artifact(self.run_id, str(folder / file))


def _status(status: int) -> str:
    return str(RunStatus.to_string(status))
