# SPDX-License-Identifier: Apache-2.0

"""The limits are the same wherever they are named."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch

from scripts.common.limits import MAX_CLASSES, MOST_PIXELS, STRIDE, divisible
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.networks.qtseg import QTSeg
from workflows import CONFIGS


def test_configs_have_the_limit_of_pixels_as_their_default():
    defaults = {path.stem: json.loads(path.read_text()).get("max_pixels") for path in CONFIGS.rglob("*.json")}
    assert {name: value for name, value in defaults.items() if value is not None} == {
        "train": MOST_PIXELS,
        "inference": MOST_PIXELS,
    }


@pytest.mark.parametrize("reader", [ImageFileReader, MaskFileReader])
def test_readers_have_the_limit_of_pixels_as_their_default(reader):
    assert inspect.signature(reader).parameters["max_pixels"].default == MOST_PIXELS == 200_000_000


@pytest.mark.parametrize("side, rounded", [(1, 32), (31.5, 32), (32, 32), (32.01, 64), (33, 64), (500, 512)])
def test_sides_are_rounded_up_to_what_the_network_takes(side, rounded):
    assert divisible(side) == rounded and isinstance(divisible(side), int)


@torch.no_grad()
def test_the_network_takes_sides_of_that_stride_and_no_other():
    network = QTSeg(3, 2, features=4, num_heads=2, mlp_dim=16, depths=(1, 1, 1)).eval()
    assert network(torch.zeros(1, 3, STRIDE, 2 * STRIDE)).shape == (1, 2, STRIDE, 2 * STRIDE)
    with pytest.raises(ValueError, match=f"divisible by {STRIDE}: got {STRIDE // 2} x {STRIDE}"):
        network(torch.zeros(1, 3, STRIDE // 2, STRIDE))


def test_a_label_id_of_the_last_class_fits_into_8_bits():
    assert np.uint8(MAX_CLASSES - 1) == MAX_CLASSES - 1 == np.iinfo(np.uint8).max
