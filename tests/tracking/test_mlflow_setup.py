# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from ignite.engine import Engine
from sqlalchemy.engine import make_url

from scripts.common.errors import InputError
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


@pytest.mark.parametrize("folder, wrong", [
    ("a%20b", "'%20'"), ("100%25", "'%25'"), ("a?b", "'?'"), (os.fsdecode(b"caf\xe9"), r"'\udce9'")
])
def test_a_folder_that_mlflow_cannot_use_is_refused_and_none_is_made(folder, wrong, tmp_path):
    (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match=re.escape(f"has {wrong} in its path, and MLflow cannot keep its database")):
        sqlite_uri(tmp_path / folder / "mlruns.db")


@pytest.mark.parametrize("name", ["a%b", "100%", "a#b", "a@#b", "%x", "a;b", "a&b=c"])
def test_a_folder_with_odd_characters_has_no_double(name, tmp_path):
    (tmp_path / name).mkdir()
    client = RunTracker(sqlite_uri(tmp_path / name / "mlruns.db"), experiment_name="mine", run_name="a").client
    client.create_experiment("mine")
    assert os.listdir(tmp_path) == [name] and os.listdir(tmp_path / name) == ["mlruns.db"]


def changed(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    return change


def as_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_program(path: Path) -> None:
    path.unlink()
    changed("CREATE TABLE notes (text)")(path)


UPGRADE, MOVE = "it is of another version of MLflow: copy it, and run mlflow db upgrade", "or move it away"


@pytest.mark.parametrize("change, cure", [
    (changed("UPDATE alembic_version SET version_num = 'bd07f7e963c5'"), UPGRADE),
    (changed("UPDATE alembic_version SET version_num = 'ffffffffffff'"), UPGRADE),
    (changed("UPDATE alembic_version SET version_num = 'ffffffffffff'", "DROP TABLE params"), UPGRADE),
    (changed("DELETE FROM alembic_version"), UPGRADE),
    (changed("DROP TABLE alembic_version"), MOVE),
    (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), MOVE),
    (lambda path: path.write_bytes(b""), MOVE),
    (lambda path: path.write_bytes(b"no database" * 1000), MOVE),
    (as_a_folder, MOVE),
    (of_another_program, MOVE),
])
def test_a_database_that_is_none_of_this_mlflow_is_refused(change, cure, tmp_path):
    path = tmp_path / "mlruns.db"
    with tracked_at(sqlite_uri(path)):
        pass
    change(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(InputError, match=f"mlruns.db cannot be used for MLflow's records .*{cure}.*, or give another"):
        RunTracker(sqlite_uri(path), experiment_name="mine", run_name="a")
    assert os.listdir(tmp_path) == ["mlruns.db"]
    assert cure == UPGRADE or path.is_dir() or path.read_bytes() == before  # MLflow makes tables that it misses


@pytest.mark.parametrize("kind", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_locked_database_is_waited_for_and_then_told(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_setup, "_PATIENCE", 0.1)
    path = tmp_path / "mlruns.db"
    with tracked_at(sqlite_uri(path)):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        with pytest.raises(InputError, match="database is locked.; end the program that has it open, such as a backup"):
            RunTracker(sqlite_uri(path), experiment_name="mine", run_name="a")
    RunTracker(sqlite_uri(path), experiment_name="mine", run_name="a")


def test_an_experiment_that_was_deleted_is_named(tmp_path):
    tracker = RunTracker(sqlite_uri(tmp_path / "mlruns.db"), experiment_name="mine", run_name="a")
    number = tracker.client.create_experiment("mine")
    tracker.client.delete_experiment(number)
    with pytest.raises(InputError, match=f"mine was deleted in MLflow; restore it .*--experiment-id {number}"):
        tracker.start(Engine(lambda engine, batch: None))
    tracker.client.restore_experiment(number)
    tracker.start(Engine(lambda engine, batch: None))
