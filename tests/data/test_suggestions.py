# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from scripts.data.suggestions import are_small, suggest
from scripts.data.survey import Facts


@pytest.mark.parametrize("size, count, suggestion", [
    ((100, 200), 40, {"spatial_size": [128, 224], "batch_size": 4, "out_channels": 2}),
    ((1944, 2592), 1000, {"spatial_size": [384, 512], "batch_size": 32, "out_channels": 2}),
    ((60, 50), 100, {"spatial_size": [128, 128], "batch_size": 8, "out_channels": 2}),
])
def test_suggested_sizes_batches_and_classes(size, count, suggestion):
    assert suggest([Facts(str(i), size=size, pixels=[9, 1]) for i in range(count)]) == suggestion


@pytest.mark.parametrize("size, spatial_size, small", [
    ((256, 256), (256, 256), True), ((60, 60), (128, 128), False), ((60, 60), None, True),
])
def test_small_objects(size, spatial_size, small):
    images = [Facts(str(i), size=size, pixels=[9, 9], objects=[[0] * 8 + [20]]) for i in range(3)]
    assert are_small(images, spatial_size) is small
    assert not are_small([Facts("a", size=size, pixels=[9, 0], objects=[[]])], spatial_size)
