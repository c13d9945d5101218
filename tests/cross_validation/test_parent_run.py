# SPDX-License-Identifier: Apache-2.0

"""The run that holds those of folds, in a database of its own."""

from __future__ import annotations

import mlflow
import pytest
from monai.bundle import ConfigParser

from scripts.common.files import write_text
from scripts.cross_validation.parent_run import ParentRun
from scripts.tracking.mlflow_setup import sqlite_uri


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ConfigParser:
    """What a config says of tracking; one database serves all tests, as making one takes seconds."""
    folder = tmp_path_factory.mktemp("tracked")
    tracking = {"tracking_uri": sqlite_uri(folder / "mlruns.db"), "artifact_location": str(folder / "artifacts")}
    return ConfigParser({**tracking, "experiment_name": "qtseg"})


@pytest.fixture(scope="module")
def client(config) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(config["tracking_uri"])


@pytest.mark.parametrize(
    "error, status",
    [(None, "FINISHED"), (RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_it_ends_as_the_cross_validation_does(error, status, config, client, tmp_path):
    def validated() -> str:
        with ParentRun(config, tmp_path) as parent:
            assert client.get_run(parent.run_id).info.status == "RUNNING"
            if error is not None:
                raise error
        return parent.run_id

    if error is None:
        run_id = validated()
    else:
        with pytest.raises(error):
            validated()
        run_id = (tmp_path / ".parent_run").read_text()
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == (status, tmp_path.name)


def test_taken_up_again_it_marks_what_was_cut_off_below_it(config, client, tmp_path):
    with ParentRun(config, tmp_path) as parent:
        pass
    experiment = client.get_run(parent.run_id).info.experiment_id
    tags = {"mlflow.parentRunId": parent.run_id}
    running, done = (client.create_run(experiment, tags=tags).info.run_id for _ in range(2))
    client.set_terminated(done)
    elsewhere = client.create_run(experiment, tags={"mlflow.parentRunId": "another"}).info.run_id
    with ParentRun(config, tmp_path) as again:
        assert again.run_id == parent.run_id and client.get_run(parent.run_id).info.status == "RUNNING"
    states = [client.get_run(run_id).info.status for run_id in (running, done, elsewhere, parent.run_id)]
    assert states == ["KILLED", "FINISHED", "RUNNING", "FINISHED"]


@pytest.mark.parametrize("lost", ["deleted", "of another database"])
def test_a_run_that_is_not_there_any_more_is_begun_anew(lost, config, client, tmp_path):
    with ParentRun(config, tmp_path) as parent:
        pass
    if lost == "deleted":
        client.delete_run(parent.run_id)
    else:
        write_text(tmp_path / ".parent_run", "0" * 32)
    with ParentRun(config, tmp_path) as again:
        pass
    assert again.run_id != parent.run_id and (tmp_path / ".parent_run").read_text() == again.run_id


def test_means_and_tables_are_logged(config, client, tmp_path):
    for name in ("folds.md", "folds.json", "split.json", "data_check.json"):
        (tmp_path / name).write_text(name)
    with ParentRun(config, tmp_path) as parent:
        parent.log({"dice": 0.75, "hd95": 12.5}, tmp_path)
    assert client.get_run(parent.run_id).data.metrics == {"dice": 0.75, "hd95": 12.5}
    names = {file.path for file in client.list_artifacts(parent.run_id)}
    assert names == {"folds.md", "folds.json", "split.json", "data_check.json"}
