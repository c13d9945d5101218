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

"""MLflow reports how it is used to its makers; from here it does not, unless the user says so."""

from __future__ import annotations

import os

import mlflow.telemetry

__all__ = ["disable_telemetry"]


def disable_telemetry() -> None:
    """Let MLflow send nothing but what goes to the tracking server, unless MLFLOW_DISABLE_TELEMETRY is set to false."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.telemetry.set_telemetry_client()
