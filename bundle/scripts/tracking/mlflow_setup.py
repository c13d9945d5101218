# SPDX-License-Identifier: Apache-2.0

"""What is done before MLflow is used: its database is made whole, its reports are off, its address is as asked."""

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
    """The address of a database in a file. To be named in a config.

    Only what would end the path is quoted: of an address with more, MLflow makes the folders as they are quoted.

    Args:
        path: of the file.
    """
    quoted = os.path.abspath(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return f"sqlite:///{quoted}"


@contextmanager
def tracked_at(tracking_uri: str) -> Iterator[None]:
    """Let MONAI's and MLflow's clients that are made meanwhile use this address, whatever MLFLOW_TRACKING_URI says.

    MLflow makes a database in hundreds of steps, and takes none that was cut off amid them. One in a file is therefore
    made aside, and then put in its place. And MLflow reports to its makers how it is used, which from here it does not,
    unless MLFLOW_DISABLE_TELEMETRY is set to false.

    Args:
        tracking_uri: the address; of a database that is there, or of a server, nothing is changed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.telemetry.set_telemetry_client()
    other = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        if tracking_uri.startswith("sqlite:"):
            _make_whole(tracking_uri)
        yield
    finally:
        if other is not None:
            os.environ["MLFLOW_TRACKING_URI"] = other


def _make_whole(tracking_uri: str) -> None:
    path = Path(make_url(tracking_uri).database or "")
    if path.exists() or not path.parent.is_dir():
        return
    partial = path.with_name(f".{uuid.uuid4().hex}.db")  # MLflow remembers what it has opened
    try:
        mlflow.MlflowClient(sqlite_uri(partial)).search_experiments(max_results=1)
        if not path.exists():  # nor has another training made it meanwhile
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
