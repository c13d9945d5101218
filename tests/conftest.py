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

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from workflows import BUNDLE, train_small

# networks and images are small here: a second thread gains nothing and waits for a busy machine
torch.set_num_threads(1)


def write_blobs(folder: Path, count: int, seed: int = 0) -> Path:
    """An own folder of small images of many sizes, RGB PNG and gray JPEG, each with one bright blob."""
    random = np.random.RandomState(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        width, height = (int(side) for side in random.randint(40, 90, 2))
        box = [width // 4, height // 4, width // 4 + int(width * 0.45), height // 4 + int(height * 0.45)]
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        noise = random.randint(0, 60, (height, width, 3))
        pixels = noise + np.asarray(mask)[..., None] // 2
        image = Image.fromarray(pixels.astype(np.uint8))
        name = f"case {i:02d}"
        image.save(folder / "images" / f"{name}.png") if i % 2 else image.convert("L").save(
            folder / "images" / f"{name}.jpg", quality=95
        )
        mask.save(folder / "masks" / f"{name}.png")
    return folder


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
