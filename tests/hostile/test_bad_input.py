# SPDX-License-Identifier: Apache-2.0

"""Bad input stops a training before its first epoch, with one sentence and nothing written."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from forked import run_forked
from scripts.common.errors import InputError
from scripts.networks.qtseg import QTSeg
from workflows import BUNDLE, causes, train_small


def write_own(folder, *, image_size=(40, 30), mask_size=(40, 30), mask_value=255, names=("a", "b", "c", "d", "e")):
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", image_size, (10, 20, 30)).save(folder / "images" / f"{name}.png")
        mask = np.zeros(mask_size[::-1], np.uint8)
        mask[:5, :5] = mask_value
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return folder


def no_folder(folder):
    return folder / "nowhere"


def empty_folder(folder):
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    return folder


def image_without_mask(folder):
    write_own(folder)
    (folder / "masks" / "c.png").unlink()
    return folder


def unreadable_image(folder):
    write_own(folder)
    (folder / "images" / "b.png").write_bytes(b"this is not an image")
    return folder


def truncated_image(folder):
    write_own(folder, image_size=(400, 300), mask_size=(400, 300))
    path = folder / "images" / "b.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 255, (300, 400, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    return folder


def mask_of_another_size(folder):
    write_own(folder)
    Image.new("L", (30, 40)).save(folder / "masks" / "d.png")
    return folder


def mask_value_out_of_range(folder):
    return write_own(folder, mask_value=2)


@pytest.mark.parametrize(
    "prepare, overrides, message",
    [
        (no_folder, {}, "nowhere"),
        (empty_folder, {}, "images"),
        (image_without_mask, {}, "c.png"),
        (unreadable_image, {}, "b.png"),
        (truncated_image, {"cache_rate": 0.0}, "b.png"),
        (mask_of_another_size, {}, "d.png"),
        (mask_value_out_of_range, {}, "out_channels"),
        (mask_value_out_of_range, {"cache_rate": 0.0}, "out_channels"),
        (write_own, {"spatial_size": [100, 96]}, r"\[128, 96\]"),
        (write_own, {"epochs": 3}, "did you mean max_epochs"),
        (write_own, {"fold": 5}, "fold"),
        (write_own, {"num_folds": 6}, "num_folds"),
        (write_own, {"out_channels": 1}, "counts the background"),
        (write_own, {"out_channels": 0}, "out_channels is 0.*at least 2"),
        (write_own, {"out_channels": 10**6}, "out_channels is 1000000; masks hold at most 256 classes"),
        (write_own, {"spatial_size": [32 * 10**9, 32]}, r"spatial_size is \[32000000000, 32\]; use at most 16777216"),
        (write_own, {"learning_rate": float("nan")}, "learning_rate is nan; it must be a number of at least 0"),
        (write_own, {"seed": -5}, "seed is -5; it must be a whole number of at least 0"),
        (lambda folder: write_own(folder, names=("a",)), {}, r"num_folds is 5 for 1 image\(s\); add images"),
        (lambda folder: write_own(folder, mask_value=0), {}, "none of the 5 masks holds an object"),
        (write_own, {"weights": "nowhere.pt"}, "nowhere.pt"),
        (write_own, {"weights": "other_width.pt"}, "other_width.pt"),
        (write_own, {"encoder_weights": "other_width.pt"}, "other_width.pt"),
    ],
)
def test_bad_input_stops_before_the_first_epoch(prepare, overrides, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(QTSeg(3, 2, features=8).state_dict(), "other_width.pt")
    data = prepare(tmp_path / "data")
    with pytest.raises(Exception) as failure:
        train_small(tmp_path, data, **{"batch_size": 2, "spatial_size": [32, 32], **overrides})
    errors = [error for error in causes(failure.value) if isinstance(error, InputError)]
    assert errors, f"no InputError behind {failure.value!r}"
    assert re.search(message, str(errors[0])), str(errors[0])
    assert not (tmp_path / "models").exists() and not (tmp_path / "eval" / "mlruns.db").exists()


def test_bad_input_prints_one_sentence_and_no_traceback(tmp_path):
    done = run_forked(
        *("run", "training", "--config_file", "configs/train.json", "--dataset_dir", str(tmp_path / "nowhere")),
        cwd=BUNDLE,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search("^error: .*nowhere", done.stderr, re.M)
