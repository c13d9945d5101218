# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The run in MLflow that holds those of a cross-validation's folds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.entities import RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from monai.bundle import ConfigParser

__all__ = ["ParentRun"]


class ParentRun:
    """Begin the run, or take it up again; what was running below it then is marked as killed.

    Args:
        config: of the training, which says where runs are tracked.
        folder: of the cross-validation; remembers the run.
    """

    def __init__(self, config: ConfigParser, folder: Path) -> None:
        self.client = mlflow.MlflowClient(config.get_parsed_content("tracking_uri"))
        remembered = folder / ".parent_run"
        if remembered.is_file():
            self.run_id = remembered.read_text()
            experiment = self.client.get_run(self.run_id).info.experiment_id
            children = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.run_id}'"
            for run in self.client.search_runs([experiment], filter_string=children):
                if run.info.status == RunStatus.to_string(RunStatus.RUNNING):
                    self.client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
            self.client.update_run(self.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
            return
        name = config.get_parsed_content("experiment_name")
        found = self.client.get_experiment_by_name(name)
        location = config.get_parsed_content("artifact_location")
        experiment = found.experiment_id if found else self.client.create_experiment(name, artifact_location=location)
        self.run_id = self.client.create_run(experiment, run_name=folder.name).info.run_id
        remembered.write_text(self.run_id)

    def finish(self, means: Mapping[str, float], folder: Path, *, complete: bool) -> None:
        """Log the means and the tables, and end the run if every fold is done.

        Args:
            means: by score.
            folder: of the cross-validation.
            complete: whether every fold is done.
        """
        for name, value in means.items():
            self.client.log_metric(self.run_id, name, value)
        for file in ("folds.md", "folds.json", "split.json", "data_check.json"):
            self.client.log_artifact(self.run_id, str(folder / file))
        if complete:
            self.client.set_terminated(self.run_id)
