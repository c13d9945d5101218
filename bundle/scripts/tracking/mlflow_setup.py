# SPDX-License-Identifier: Apache-2.0

"""Set up MLflow before it is used: create its database safely, turn off its telemetry, and set its address."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import mlflow.telemetry
from alembic.util import CommandError
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ..common.errors import InputError, in_one_line
from ..common.partial_files import partial_file

__all__ = ["check_experiment", "sqlite_uri", "tracked_at"]

_PATIENCE = 20  # seconds to wait for a database that another program has locked, as MLflow itself waits


def sqlite_uri(path: str | os.PathLike[str]) -> str:
    """Return MLflow's address of a SQLite database in a file. Configs call this function.

    Only the name of the file is quoted. If a folder is quoted, MLflow makes another one with the quoted name.

    Args:
        path: path of the database file.

    Raises:
        InputError: if the folder has characters in its path that MLflow cannot use.
    """
    folder, name = os.path.split(os.path.abspath(path))
    wrong = re.search(r"[?\ud800-\udfff]|%[0-9A-Fa-f]{2}", folder)
    if wrong:
        raise InputError(
            f"{folder} has {wrong[0]!r} in its path, and MLflow cannot keep its database there; use a folder without "
            "it, or name another place for the database by --tracking_uri"
        )
    return "sqlite:///" + os.path.join(folder, name.replace("%", "%25").replace("?", "%3F").replace("#", "%23"))


@contextmanager
def tracked_at(tracking_uri: str) -> Iterator[None]:
    """Make MONAI's and MLflow's clients that are created in this context use an address, not MLFLOW_TRACKING_URI.

    MLflow creates a database in hundreds of steps and cannot use one whose creation was interrupted. A SQLite database
    is therefore created under another name, and then renamed. Telemetry, which reports MLflow's use to its developers,
    is turned off unless MLFLOW_DISABLE_TELEMETRY is set to false.

    Args:
        tracking_uri: address of MLflow's store. An existing database and a server are not changed.

    Raises:
        InputError: if a SQLite database cannot be used: it is locked, damaged, or of another version or program.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.telemetry.set_telemetry_client()
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs errors that are raised anyway
    previous = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        if tracking_uri.startswith("sqlite:"):
            _create_database(tracking_uri)
            with _explained(tracking_uri):
                _check_database(tracking_uri)
                yield
        else:
            yield
    finally:
        if previous is not None:
            os.environ["MLFLOW_TRACKING_URI"] = previous


def check_experiment(experiment: Experiment | None) -> None:
    """Check that runs can be put into an experiment.

    Args:
        experiment: the experiment, or None if it does not exist yet.

    Raises:
        InputError: if the experiment was deleted. MLflow keeps it, and its name, until it is removed for good.
    """
    if experiment is not None and experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InputError(
            f"the experiment {experiment.name} was deleted in MLflow; restore it (mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}), or give another --experiment_name"
        )


def _create_database(tracking_uri: str) -> None:
    path = Path(make_url(tracking_uri).database or "")
    if path.exists() or not path.parent.is_dir():
        return
    # The hundreds of steps are taken in a folder of their own, as SQLite may lock no file that is locked already.
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "mlruns.db"
        mlflow.MlflowClient(sqlite_uri(new)).search_experiments(max_results=1)
        with partial_file(path.parent, ".db") as partial:
            shutil.copyfile(new, partial)
            if not path.exists():  # another training may have created it in the meantime
                partial.rename(path)


def _check_database(tracking_uri: str) -> None:
    """Check that a database is one of MLflow, and that it can be written to. MLflow itself would try for minutes."""
    path = Path(make_url(tracking_uri).database or "")
    if path.exists():
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT version_num FROM alembic_version").fetchall()


@contextmanager
def _explained(tracking_uri: str) -> Iterator[None]:
    """Say in one sentence why a database cannot be used."""
    try:
        yield
    except (sqlite3.Error, SQLAlchemyError, MlflowException, CommandError) as error:
        if "database is locked" in str(error):
            cure = "end the program that has it open, such as a backup"
        elif re.search(r"out-of-date database schema|locate revision", str(error)):
            cure = f"it is of another version of MLflow: copy it, and run mlflow db upgrade {shlex.quote(tracking_uri)}"
        else:
            cure = "mend its rights, or move it away, and a new one is made"
        raise InputError(
            f"{make_url(tracking_uri).database} cannot be used for MLflow's records ({in_one_line(error)[:200]}); "
            f"{cure}, or give another --output_dir or --tracking_uri"
        ) from error
