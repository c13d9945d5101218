# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import pytest
from sqlalchemy.engine import make_url

from scripts.tracking import mlflow_setup
from scripts.tracking.mlflow_handlers import RunTracker
from scripts.tracking.mlflow_setup import sqlite_uri, tracked_at


def test_a_database_is_made_whole_or_not_at_all(tmp_path, monkeypatch, copied_databases):
    monkeypatch.setattr(mlflow_setup, "_create_database", copied_databases)
    folder = tmp_path / "100% mine, ünd blanks"
    folder.mkdir()
    uri = sqlite_uri(folder / "mlruns.db")

    def killed(source, target):
        assert target == folder / "mlruns.db"
        raise KeyboardInterrupt

    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(Path, "rename", killed)
        with tracked_at(uri):
            pass
    assert list(folder.iterdir()) == []
    for _ in range(2):  # makes it, and leaves it
        with tracked_at(uri):
            client = mlflow.MlflowClient(uri)
            client.get_experiment_by_name("mine") or client.create_experiment("mine")
    assert [path.name for path in folder.iterdir()] == ["mlruns.db"]


def test_folders_are_not_made_twice(tmp_path):
    folder = tmp_path / "ünd blanks & more"
    folder.mkdir()
    RunTracker(sqlite_uri(folder / "mlruns.db"), experiment_name="mine", run_name="a")
    assert list(tmp_path.iterdir()) == [folder]


def test_the_address_that_was_asked_for_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(tmp_path / "another.db"))
    tracker = RunTracker(sqlite_uri(tmp_path / "mine.db"), experiment_name="mine", run_name="a")
    tracker.client.create_experiment("mine")
    assert [path.name for path in tmp_path.glob("*.db")] == ["mine.db"]


def test_what_would_end_a_path_is_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sqlite_uri("runs 50%#1?.db") == f"sqlite:///{tmp_path}/runs 50%25%231%3F.db"
    assert make_url(sqlite_uri("a b/ü.db")).database == f"{tmp_path}/a b/ü.db"


def test_of_a_server_nothing_is_made_and_the_address_asked_for_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://asked.for")
    with pytest.raises(KeyError), tracked_at("http://127.0.0.1:9"):
        assert "MLFLOW_TRACKING_URI" not in os.environ
        raise KeyError
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://asked.for" and list(tmp_path.iterdir()) == []
    with tracked_at(sqlite_uri(tmp_path / "no folder" / "mlruns.db")):
        pass
    assert list(tmp_path.iterdir()) == []
