# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

from scripts.data import widths
from scripts.data.widths import median_width


def strip(width: int, side: int = 200) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[20 : side - 20, 50 : 50 + width] = True
    return mask


@pytest.mark.parametrize("width, measured", [(1, 1.5), (2, 1.5), (3, 3.5), (4, 3.5), (5, 5.5), (8, 7.5)])
def test_the_width_of_a_strip_is_right_to_half_a_pixel(width, measured):
    assert median_width(strip(width)) == measured
    assert median_width(strip(width).T) == measured


def test_the_width_of_wide_objects_is_about_right():
    rows, columns = np.mgrid[:300, :300] - 150
    assert 150 < median_width(np.hypot(rows, columns) <= 100) < 202
    for width in (21, 40, 75):
        assert median_width(strip(width)) == pytest.approx(width, rel=0.15)


def test_a_slanting_line_is_as_wide_as_a_straight_one():
    rows, columns = np.mgrid[:300, :300]
    assert median_width(np.abs(rows - columns) / np.sqrt(2) <= 3) == pytest.approx(6, abs=1)


def test_half_of_the_length_of_all_objects_is_narrower():
    mask = strip(3, side=400)
    mask[20:140, 200:230] = True
    assert median_width(mask) == 3.5


def test_a_mask_without_an_object_has_no_width():
    assert median_width(np.zeros((9, 9), bool)) is None
    assert median_width(np.ones((1, 1), bool)) == 1.5


@pytest.mark.parametrize("width, measured", [(5, 7), (12, 11), (40, 39)])
def test_large_masks_are_measured_on_fewer_pixels(width, measured, monkeypatch):
    mask = strip(width, side=600)
    mask[20, 50:580] = True  # a line of one pixel, so that the box is large
    monkeypatch.setattr(widths, "_MOST_PIXELS", 600 * 600 // 4)
    assert median_width(mask) == pytest.approx(measured, abs=0.5)


def test_objects_between_the_measured_pixels_are_thin(monkeypatch):
    monkeypatch.setattr(widths, "_MOST_PIXELS", 1)
    dots = np.zeros((9, 9), bool)
    dots[4, 0] = dots[0, 4] = dots[8, 8] = True
    assert median_width(dots) == 9
