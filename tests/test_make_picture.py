# SPDX-License-Identifier: Apache-2.0

"""The picture of the README shows what the model of nuclei does, on images that it was not trained on."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.pictures import PALETTE
from workflows import BUNDLE

DATA = Path(os.environ.get("QTSEG_DATA", "none"))
PATH = BUNDLE / "docs" / "make_picture.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_picture", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_row_is_drawn_for_each_example(script):
    first = np.full((32, 64, 3), 10, np.uint8)
    first[:, :32] = 30
    second = np.full((64, 64, 3), 7, np.uint8)
    nothing = np.zeros((64, 64), int)
    left = np.arange(64) < 32
    picture = script.draw_rows([(first, np.tile(left, (32, 1)), np.tile(~left, (32, 1))), (second, nothing, nothing)])
    assert picture.size == (784, 30 + 128 + 8 + 256) and picture.mode == "RGB"
    pixels = np.asarray(picture)
    nucleus, ground, white = (tuple(color) for color in (PALETTE[1], PALETTE[0], (255, 255, 255)))
    middle = 30 + 64
    at = {x: tuple(pixels[middle, x]) for x in (10, 200, 260, 274, 500, 538, 770)}
    assert at == {10: white, 200: ground, 260: white, 274: nucleus, 500: ground, 538: ground, 770: nucleus}
    captions = pixels[:30].min(axis=(0, 2)) < 128
    assert all(captions[start : start + 256].any() for start in (0, 264, 528)) and not captions[256:264].any()
    assert (pixels[-256:, :256] == 0).all()  # an image of one intensity


def test_images_that_are_not_there_are_named(script, tmp_path):
    if (BUNDLE / "models" / "model.previous.pt").is_file():
        pytest.skip("a training has replaced the model that came with the bundle")
    for kind in ("images", "masks"):
        images.save(tmp_path / "stage1_train" / "a" / kind / "a.png", np.zeros((16, 24), np.uint8))
    with pytest.raises(InputError, match=f"has no image {script.IMAGES[0]}"):
        script.make_picture(tmp_path, tmp_path / "picture.png")


def test_the_picture_in_the_tree_is_small():
    path = BUNDLE / "docs" / "nuclei.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as picture:
        assert picture.width == 784


@pytest.mark.skipif(not (DATA / "stage1_train").is_dir(), reason="QTSEG_DATA names no folder with stage1_train")
def test_the_picture_in_the_tree_is_what_the_script_draws(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back what a run installs
    path = tmp_path / "nuclei.png"
    script.main(["--dataset_dir", str(DATA), "--output", str(path)])
    told = re.search(r"Dice ([\d.]+), ([\d.]+)", capsys.readouterr().out)
    readme = (BUNDLE.parent / "README.md").read_text()
    assert all(f"{float(score):.2f}" in readme for score in told.groups())
    with Image.open(path) as ours, Image.open(BUNDLE / "docs" / "nuclei.png") as shown:
        assert ours.size == shown.size
        assert np.mean(np.asarray(ours) != np.asarray(shown)) < 0.001
