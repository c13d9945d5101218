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

"""Cross-validations of two folds of small images, by the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from workflows import BUNDLE, CONFIGS

SMALL = ("--num_folds", "2", "--spatial_size", "[32,32]", "--batch_size", "4", "--max_epochs", "2")


def arguments(folder: Path, dataset_dir: Path) -> list[str]:
    files = ["--config_file", str(CONFIGS / "train.json"), "--bundle_root", str(BUNDLE)]
    return [*files, "--output_dir", str(folder), "--dataset_dir", str(dataset_dir), *SMALL]


def start(folder: Path, dataset_dir: Path) -> subprocess.Popen:
    """The command on one thread."""
    command = [sys.executable, "-m", "scripts.cross_validation", *arguments(folder, dataset_dir)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(BUNDLE)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder.parent, env=environment, **pipes)
