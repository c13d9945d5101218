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

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from images import write_blobs
from workflows import BUNDLE, train_small

# networks and images are small here: a second thread gains nothing and waits for a busy machine
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def blobs(tmp_path_factory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("own data") / "blöbs", 11)


@pytest.fixture(scope="session")
def trained(blobs, tmp_path_factory) -> SimpleNamespace:
    """A model trained for three epochs on small images, with everything that its run has written."""
    folder = tmp_path_factory.mktemp("trained model")
    train_small(folder, blobs, max_epochs=3, val_interval=2)
    return SimpleNamespace(
        ckpt_dir=folder / "models",
        output_dir=folder / "eval",
        settings=json.loads((folder / "models" / "model.json").read_text()),
        bundle_root=BUNDLE,
    )
