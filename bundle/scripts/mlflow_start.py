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

"""What is done before MLflow is used for the first time: its database is made whole, and its reports are off."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import mlflow.telemetry
from sqlalchemy.engine import make_url

__all__ = ["start_mlflow"]


def start_mlflow(tracking_uri: str) -> None:
    """Prepare for runs that are tracked at an address.

    MLflow makes a database in hundreds of steps, and takes none that was cut off amid them. One in a file is therefore
    made aside, and then put in its place. And MLflow reports to its makers how it is used, which from here it does not,
    unless MLFLOW_DISABLE_TELEMETRY is set to false.

    Args:
        tracking_uri: the address; of a database that is there, or of a server, nothing is changed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.telemetry.set_telemetry_client()
    if not tracking_uri.startswith("sqlite:"):
        return
    url = make_url(tracking_uri)
    path = Path(url.database or "")
    if path.exists() or not path.parent.is_dir():
        return
    partial = path.with_name(f".{uuid.uuid4().hex}.db")  # MLflow remembers what it has opened
    try:
        mlflow.MlflowClient(url.set(database=str(partial)).render_as_string()).search_experiments(max_results=1)
        if not path.exists():  # nor has another training made it meanwhile
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
