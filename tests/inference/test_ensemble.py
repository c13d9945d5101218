# SPDX-License-Identifier: Apache-2.0

"""The models of a cross-validation's folds as one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import images
from scripts.common.errors import InputError
from scripts.inference.ensemble import Ensemble, load_folds
from scripts.networks.qtseg import QTSeg
from workflows import run


@pytest.fixture(scope="module")
def validated(blobs, tmp_path_factory) -> Path:
    """Models of the two folds of a cross-validation, in its folder."""
    folder = tmp_path_factory.mktemp("cross validation")
    for fold in (0, 1):
        small = {"num_folds": 2, "fold": fold, "spatial_size": [32, 32], "batch_size": 4, "max_epochs": 2}
        places = {"dataset_dir": str(blobs), "ckpt_dir": str(folder / f"fold_{fold}"), "output_dir": str(folder)}
        run("train", run_id="training", **places, **small)
        (folder / f"fold_{fold}" / "done").touch()
    return folder


@pytest.mark.parametrize("geometry", ["fit", "native"])
def test_the_models_of_the_folds_predict_together(geometry, validated, blobs, tmp_path):
    options = {"device": torch.device("cpu"), "precision": "float32"}
    own = validated / "fold_0" / "model.pt"
    folds = load_folds(QTSeg(3, 2), validated, checkpoint=own, **options)
    assert len(folds) == 2
    with pytest.raises(InputError, match="other/model.pt is no model of .*; leave out --ckpt_dir and --checkpoint"):
        load_folds(QTSeg(3, 2), validated, checkpoint=tmp_path / "other" / "model.pt", **options)
    common = {"dataset_dir": str(blobs), "geometry": geometry}
    together = {"output_dir": str(tmp_path / "together"), "cross_validation_dir": str(validated)}
    run("inference", "ensemble", **together, **common)
    for fold in (0, 1):
        ckpt_dir = str(validated / f"fold_{fold}")
        run("inference", output_dir=str(tmp_path / str(fold)), ckpt_dir=ckpt_dir, **common)
    folders = [tmp_path / name for name in ("together", "0", "1")]
    together, *alone = ([np.asarray(images.opened(p)) for p in sorted(folder.glob("*.png"))] for folder in folders)
    assert len(together) == 11
    agree = [a == b for a, b in zip(*alone)]
    right = [np.mean(mask[same] == one[same]) for mask, same, one in zip(together, agree, alone[0])]
    # where both agree, so does their mean; windows are blended after the mean, which can tip the balance at a pixel
    assert min(right) == 1 if geometry == "fit" else min(right) > 0.99


def test_an_ensemble_takes_the_mean_of_probabilities():
    class Constant(torch.nn.Module):
        def __init__(self, logits: list[float]) -> None:
            super().__init__()
            self.logits = torch.tensor(logits)[None, :, None, None]

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.logits.expand(len(image), -1, *image.shape[2:])

    logits = [[0.0, 3.0, -2.0], [500.0, 0.0, 0.0], [-500.0, 1.0, 1.0]]
    found = Ensemble([Constant(each) for each in logits])(torch.zeros(2, 3, 4, 5)).softmax(dim=1)
    assert found.shape == (2, 3, 4, 5)
    torch.testing.assert_close(found[1, :, 3, 4], torch.tensor(logits).softmax(dim=1).mean(dim=0))


@pytest.mark.parametrize("spoil, message", [
    (lambda folder: shutil.rmtree(folder / "fold_1"), r"has 1 model\(s\) of folds that are done; give --cross_val"),
    (
        lambda folder: (folder / "fold_1" / "model.json").write_text(
            (folder / "fold_1" / "model.json").read_text().replace('"color_space": "RGB"', '"color_space": "YCrCb"')
        ),
        "fold_1/model.pt was trained with color_space YCrCb, but .*fold_0/model.pt with RGB",
    ),
])
def test_models_that_do_not_belong_together(spoil, message, validated, tmp_path):
    for fold in (0, 1):
        shutil.copytree(validated / f"fold_{fold}", tmp_path / f"fold_{fold}")
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        own = tmp_path / "fold_0" / "model.pt"
        load_folds(QTSeg(3, 2), tmp_path, checkpoint=own, device=torch.device("cpu"), precision="float32")
