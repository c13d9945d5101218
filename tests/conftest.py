# SPDX-License-Identifier: Apache-2.0

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
