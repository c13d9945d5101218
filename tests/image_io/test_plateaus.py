# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from scripts.image_io.plateaus import inner_pixels, plateau_values

Resampling = Image.Resampling


def discs(*values: int, dtype: str = "uint8", radius: float = 9) -> np.ndarray:
    """A (96, 128) picture with a disc of each value, and 0 elsewhere."""
    rows, columns = np.mgrid[:96, :128]
    picture = np.zeros((96, 128), dtype)
    for number, value in enumerate(values):
        center = 20.3 + 27 * (number // 4), 17.6 + 29 * (number % 4)
        picture[np.hypot(rows - center[0], columns - center[1]) <= radius] = value
    return picture


def as_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_inner_pixels_have_equal_neighbors():
    rng = np.random.default_rng(0)
    for picture in (rng.integers(0, 2, (9, 7)), np.zeros((1, 1), int), discs(3, 200)):
        expected = ndimage.minimum_filter(picture, 3) == ndimage.maximum_filter(picture, 3)
        np.testing.assert_array_equal(inner_pixels(picture), expected)


@pytest.mark.parametrize("values, between", [
    ((12, 45, 201), [12, 45]), ((29, 150), [29]), ((40, 255), [40]), ((5, 255), [5]), ((128, 255), [128]),
    ((63, 1, 255), [1, 63]), ((200, 255), [200]), ((85, 170, 255), [85, 170]), ((300, 40000), [300]),
    ((27, 41, 90, 141, 155, 200, 233, 240), [27, 41, 90, 141, 155, 200, 233]),
])  # fmt: skip
def test_values_of_areas_are_found(values, between):
    picture = discs(*values, dtype="uint16" if max(values) > 255 else "uint8")
    assert plateau_values(picture) == between
    assert plateau_values(picture[::-1, ::-1]) == between


def test_tiny_and_thin_objects_are_found():
    assert plateau_values(discs(60, 90, 120, 255, radius=1.5)) == [60, 90, 120]
    lines = np.zeros((64, 64), np.uint8)
    lines[:, 10::20], lines[:, 20::20] = 128, 255
    assert plateau_values(lines) == [128]


def test_a_class_is_found_beside_soft_edges():
    picture = np.asarray(Image.fromarray(discs(255, 255, 255, 255, 255)).filter(ImageFilter.GaussianBlur(1))).copy()
    picture[70:90, 100:120] = 90
    assert plateau_values(picture) == [90]


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.7, 1.5, 2, 3, 4])
@pytest.mark.parametrize("filter_", [Resampling.BOX, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS])
def test_scaled_masks_have_soft_edges_only(scale, filter_):
    mask = Image.fromarray(discs(255, 255, 255, 255, 255, 255))
    scaled = mask.resize((int(128 * scale), int(96 * scale)), filter_)
    assert plateau_values(np.asarray(scaled)) == []
    again = scaled.resize((scaled.width * 3, scaled.height * 3), Resampling.NEAREST)
    assert plateau_values(np.asarray(again)) == []


@pytest.mark.parametrize("quality", [1, 3, 5, 8, 10, 20, 30, 50, 75, 90, 95, 100])
def test_masks_that_were_jpeg_before_have_soft_edges_only(quality):
    picture = as_jpeg(discs(255, 255, 255, 255, 255, 255), quality)
    assert plateau_values(picture) == []
    larger = Image.fromarray(picture).resize((192, 144), Resampling.NEAREST)
    assert plateau_values(np.asarray(larger)) == []


@pytest.mark.parametrize("radius", [0.5, 1, 2, 4, 8])
def test_blurred_masks_have_soft_edges_only(radius):
    mask = Image.fromarray(discs(255, 255, 255, 255, 255, 255))
    assert plateau_values(np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)))) == []


def test_specks_and_plain_masks_have_no_areas():
    mask = discs(255, 255)
    assert plateau_values(mask) == plateau_values(mask * 0) == plateau_values(mask * 0 + 7) == []
    mask[80:84, 100:103] = 140  # 12 pixels, of which 2 are inner ones
    assert plateau_values(mask) == []
