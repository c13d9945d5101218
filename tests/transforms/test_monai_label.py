# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms.monai_label import ForMonaiLabeld


@pytest.mark.parametrize("depth", [(), (3,)])
def test_columns_come_first_for_monai_label(depth):
    ids = torch.arange(4 * 6 * math.prod(depth)).reshape(1, 4, 6, *depth)
    image = MetaTensor(torch.zeros(3, 8, 8, *depth), meta={"spatial_shape": [4, 6, *depth]})
    turned = ForMonaiLabeld("pred", "image")({"pred": ids, "image": image})
    assert torch.equal(turned["pred"], ids[0].transpose(0, 1)) and turned["pred"].shape == (6, 4, *depth)
    assert turned["image"].meta["spatial_shape"] == [6, 4, *depth]


@pytest.mark.parametrize(
    "image_path, wish, extension", [("a.JPG", None, ".png"), ("a.jpg", ".nii", ".nii"), ("a.png", None, None)]
)
def test_masks_of_jpeg_images_are_no_jpeg_in_monai_label(image_path, wish, extension):
    image = MetaTensor(torch.zeros(3, 8, 8), meta={"spatial_shape": [4, 6]})
    data = {"pred": torch.zeros(1, 4, 6), "image": image, "image_path": image_path, "result_extension": wish}
    assert ForMonaiLabeld("pred", "image")(data)["result_extension"] == extension
