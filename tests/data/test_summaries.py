# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from scripts.data.summaries import class_summary, num_classes, summarize, zoom
from scripts.data.survey import Facts

SEEN = {"size": (100, 200), "low": 0, "high": 255, "mean": 80, "spread": 20, "pixels": [19000, 1000]}
IMAGE = Facts("a.png", **SEEN, objects=[[2, 0, 1, 0, 0, 0, 0, 0, 0, 1]], widths=[9.5])


def test_sizes_and_intensities():
    summary = summarize([IMAGE] * 3, 2, None)
    assert summary["sizes"]["height"] == {"min": 100, "lower": 100, "median": 100, "upper": 100, "max": 100}
    assert summary["intensities"]["mean"]["median"] == 80 and len(summary["classes"]) == 1


def test_objects_that_would_vanish():
    # objects of 1, 1, 4 to 7 and 512 to 1023 pixels
    def vanishing(side: int) -> int:
        row = class_summary([IMAGE], 1, (side, side))
        assert row["objects"] == 4 and row["share"] == 0.05 and row["images"] == 1
        return row["vanishing"]

    assert [vanishing(side) for side in (400, 200, 100, 64, 32, 4)] == [0, 0, 2, 3, 3, 4]


@pytest.mark.parametrize("spatial_size, width", [(None, 9.5), ((100, 100), 4.75), ((400, 400), 19.0)])
def test_the_width_is_that_of_the_fitted_objects(spatial_size, width):
    other = Facts("b.png", **{**SEEN, "pixels": [20000, 0]}, objects=[[]], widths=[None])
    assert class_summary([IMAGE, other], 1, spatial_size)["width"] == width
    assert class_summary([other], 1, spatial_size)["width"] is None


def test_an_image_is_fitted_by_its_longer_side():
    assert [zoom(IMAGE, size) for size in (None, (100, 100), (64, 200))] == [1, 0.5, 0.64]


@pytest.mark.parametrize("pixels, classes", [([9, 0], 2), ([9, 1, 0], 2), ([9, 0, 1], 3)])
def test_number_of_classes(pixels, classes):
    assert num_classes([Facts("a.png", pixels=pixels), Facts("b.png", pixels=[9, 0])]) == classes
