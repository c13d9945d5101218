# SPDX-License-Identifier: Apache-2.0

"""Images at their native resolution, through windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer
from PIL import Image
from torch import nn

from scripts.common.errors import InputError
from scripts.common.knobs import check_knobs
from scripts.evaluation.scores import read_scores
from scripts.inference.sliding_windows import Slices, SlidingWindows
from scripts.transforms.discretize import label_ids
from scripts.transforms.intensity import FullScale
from workflows import BUNDLE, run, train_small


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 2, 5, padding=2)


@pytest.mark.parametrize("size", [(64, 96), (65, 96), (200, 331), (64, 400), (20, 300), (9, 7)])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.6])
def test_windows_blend_as_those_of_monai(size, overlap, network):
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    found = SlidingWindows((64, 96), sw_batch_size=3, overlap=overlap)(images, network)
    (height, width), (h, w) = size, (64, 96)
    padded = torch.nn.functional.pad(images, (0, max(0, w - width), 0, max(0, h - height)))
    expected = SlidingWindowInferer((h, w), 4, overlap=overlap, mode="gaussian")(FullScale()(padded), network)
    torch.testing.assert_close(found, expected[..., :height, :width], rtol=0, atol=2e-6)


def test_deciding_row_by_row_changes_nothing(network):
    images = torch.randint(0, 256, (1, 3, 300, 200), dtype=torch.uint8)
    decided = SlidingWindows((64, 64), decide=label_ids)(images, network)
    assert decided.dtype == torch.uint8
    assert torch.equal(decided[0], label_ids(SlidingWindows((64, 64))(images, network)[0]))


def test_no_more_rows_than_a_window_has_are_held(network):
    heights = []
    SlidingWindows((64, 64), decide=lambda scores: heights.append(scores.shape[1]) or scores)(
        torch.zeros(1, 3, 500, 70), network
    )
    assert sum(heights) == 500 and max(heights) == 64


def test_slices_of_a_volume_are_seen_as_images(network):
    volume = torch.randint(0, 256, (1, 3, 70, 50, 5), dtype=torch.uint8)
    windows = SlidingWindows((64, 32))
    found = Slices(windows, batch_size=2)(volume, network)
    assert found.shape == (1, 2, 70, 50, 5)
    for k in range(5):
        torch.testing.assert_close(found[..., k], windows(volume[..., k], network))
    assert torch.equal(Slices(windows, batch_size=2)(volume[..., 0], network), windows(volume[..., 0], network))


def test_wrong_values():
    with pytest.raises(InputError, match="geometry is 'big'; use one of 'fit', 'native'"):
        check_knobs({"geometry": "big"})
    with pytest.raises(InputError, match="overlap is 1; use at least 0 and less than 1"):
        SlidingWindows((32, 32), overlap=1)


@pytest.mark.parametrize("batch_size, images, windows", [(1, 1, 1), (3, 1, 3), (6, 1, 4), (8, 2, 8)])
def test_a_step_takes_no_more_windows_than_fit_and_they_are_plain_tensors(batch_size, images, windows, blobs, tmp_path):
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    places = {"bundle_root": str(BUNDLE), "dataset_dir": str(blobs), "output_dir": str(tmp_path)}
    parser.update({**places, "geometry": "native", "spatial_size": [32, 64], "batch_size": batch_size})
    assert parser.get_parsed_content("images_per_batch") == images
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    for key, channels in (("image", 3), ("label", 1)):
        assert type(batch[key]) is torch.Tensor  # which no compiled network would take with metadata
        assert batch[key].shape == (windows, channels, 32, 64)


@pytest.fixture(scope="module")
def trained_native(tmp_path_factory) -> Path:
    """A model of fine dots, which would vanish if images were fitted to 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("native")
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / "data" / part).mkdir(parents=True)
    for i in range(6):
        mask = np.zeros((150 + i, 100 if i else 40), np.uint8)
        for y, x in zip(random.integers(3, 145, 12), random.integers(3, 35, 12)):
            mask[y - 2 : y + 2, x - 2 : x + 2] = 255
        image = random.integers(40, 60, mask.shape) + mask // 2
        Image.fromarray(image.astype(np.uint8)).save(folder / "data" / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "data" / "masks" / f"{i}.png")
    options = {"geometry": "native", "crops_per_image": 2, "num_folds": 3, "validation_share": 0.3, "device": "cpu"}
    train_small(folder, folder / "data", max_epochs=3, **options)
    return folder


def test_a_native_model_is_scored_and_segments_at_native_resolution(trained_native, tmp_path):
    settings = json.loads((trained_native / "models" / "model.json").read_text())
    assert settings["geometry"] == "native"
    common = {"ckpt_dir": str(trained_native / "models"), "precision": "float32"}
    run("train", "evaluate", output_dir=str(tmp_path), **common)
    data = trained_native / "data" / "images"
    run("inference", dataset_dir=str(data), output_dir=str(tmp_path / "masks"), **common)
    rows = read_scores(tmp_path / "evaluation")
    assert len(rows) == 2
    for path, row in rows.items():
        pred = np.asarray(Image.open(tmp_path / "masks" / Path(path).name)) > 0
        label = np.asarray(Image.open(trained_native / "data" / "masks" / Path(path).name)) > 0
        assert pred.shape == label.shape
        assert float(row["mae"]) == pytest.approx((pred != label).mean(), abs=1e-4)
        assert row["paper_mae"] == row["mae"]
