# SPDX-License-Identifier: Apache-2.0

"""Set up MLflow before it is used: create its database safely, turn off its telemetry, and set its address."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow.telemetry
from sqlalchemy.engine import make_url

__all__ = ["sqlite_uri", "tracked_at"]


def sqlite_uri(path: str | os.PathLike[str]) -> str:
    """Return MLflow's address of a SQLite database in a file. Configs call this function.

    Only characters that would end the path are quoted. If more is quoted, MLflow creates folders with quoted names.

    Args:
        path: path of the database file.
    """
    quoted = os.path.abspath(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return f"sqlite:///{quoted}"


@contextmanager
def tracked_at(tracking_uri: str) -> Iterator[None]:
    """Make MONAI's and MLflow's clients that are created in this context use an address, not MLFLOW_TRACKING_URI.

    MLflow creates a database in hundreds of steps and cannot use one whose creation was interrupted. A SQLite database
    is therefore created under another name, and then renamed. Telemetry, which reports MLflow's use to its developers,
    is turned off unless MLFLOW_DISABLE_TELEMETRY is set to false.

    Args:
        tracking_uri: address of MLflow's store. An existing database and a server are not changed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.telemetry.set_telemetry_client()
    previous = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        if tracking_uri.startswith("sqlite:"):
            _create_database(tracking_uri)
        yield
    finally:
        if previous is not None:
            os.environ["MLFLOW_TRACKING_URI"] = previous


def _create_database(tracking_uri: str) -> None:
    path = Path(make_url(tracking_uri).database or "")
    if path.exists() or not path.parent.is_dir():
        return
    partial = path.with_name(f".{uuid.uuid4().hex}.db")  # a new name, because MLflow caches opened databases
    try:
        mlflow.MlflowClient(sqlite_uri(partial)).search_experiments(max_results=1)
        if not path.exists():  # another training may have created it in the meantime
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
