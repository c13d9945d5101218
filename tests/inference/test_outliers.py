# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.inference.outliers import OUTLIERS, FindOutliersd


@pytest.mark.parametrize("shape, place", [((3, 20, 30), (0, 5, 5)), ((1, 20, 30, 4), (0, 5, 5, 2))])
def test_an_image_or_a_slice_with_a_hot_pixel_is_noted(shape, place):
    image = torch.randint(0, 50, shape, dtype=torch.uint8)
    assert FindOutliersd("image")({"image": image})[OUTLIERS] is False
    image[place] = 255
    assert FindOutliersd("image")({"image": image})[OUTLIERS] is True
