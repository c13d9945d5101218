# SPDX-License-Identifier: Apache-2.0

"""A few pixels do not take the contrast of all others."""

from __future__ import annotations

import numpy as np
import pytest
from monai.transforms import ScaleIntensityRangePercentiles

import images
from scripts.common.errors import InputError
from scripts.image_io.intensities import LOWER, UPPER, between_percentiles, has_outliers, middle, stretched
from scripts.image_io.readers import ImageFileReader

KINDS = [
    np.random.default_rng(0).integers(3, 90, (50, 41, 3)).astype(np.uint8),
    np.random.default_rng(1).integers(300, 2000, (64, 70)).astype(np.uint16),
    np.random.default_rng(2).normal(size=(30, 40, 3)).astype(np.float32),
    np.random.default_rng(3).integers(-500, 900, (30, 40)).astype(np.int16),
    np.array([[5, 9]], np.uint8),
]


@pytest.mark.parametrize("values", KINDS, ids=lambda values: str(values.dtype))
def test_the_range_is_that_of_monai(values):
    np.testing.assert_allclose(middle(values), np.percentile(values, (LOWER, UPPER)), rtol=1e-6)
    expected = ScaleIntensityRangePercentiles(LOWER, UPPER, 0, 255, clip=True)(values.astype(np.float32))
    scaled = between_percentiles(values)
    assert scaled.dtype == (np.uint8 if values.dtype == np.uint8 else np.float32)
    np.testing.assert_allclose(scaled, np.asarray(expected), atol=0.501 if values.dtype == np.uint8 else 1e-3)


@pytest.mark.parametrize("outlier", [65535, 0])
def test_hot_and_dead_pixels_change_nothing(outlier, tmp_path):
    clean = np.random.default_rng(0).integers(300, 2000, (100, 100)).astype(np.uint16)
    clean[:50] = 300
    clean[50:60] = 2000
    spoiled = clean.copy()
    spoiled[5, 5] = spoiled[70, 8] = outlier
    arrays = []
    for name, values in (("clean.png", clean), ("spoiled.png", spoiled)):
        path = str(images.save_png(tmp_path / name, values))
        arrays.append(ImageFileReader(intensities="percentiles").get_data([path])[0])
        assert has_outliers(values) == (name == "spoiled.png" and outlier > 0)
    differ = (arrays[0] != arrays[1]).any(-1)
    assert differ.sum() <= 2 and arrays[0].min() == 0 and arrays[0].max() == 255
    if outlier:
        narrow = ImageFileReader().get_data([str(tmp_path / "spoiled.png")])[0]  # as published
        assert np.sort(narrow[..., 0].ravel())[-3:].tolist() == pytest.approx([6.64, 255, 255], abs=0.01)


def test_a_scale_bar_that_is_burned_in_changes_nothing(tmp_path):
    dim = np.random.default_rng(0).integers(0, 50, (160, 160)).astype(np.uint8)
    dim[:80], dim[80:100] = 0, 49
    barred = dim.copy()
    barred[-8:-5, -40:-8] = 255  # 0.4 % of the pixels
    dim[-8:-5, -40:-8] = 49
    read = [
        ImageFileReader(intensities="percentiles").get_data([str(images.save(tmp_path / f"{i}.png", values))])[0]
        for i, values in enumerate((dim, barred))
    ]
    np.testing.assert_array_equal(*read)
    assert read[0].dtype == np.uint8 and set(np.unique(read[0][:100]).tolist()) == {0, 255}
    assert has_outliers(barred) and not has_outliers(dim)


def test_small_objects_on_black_are_kept():
    values = np.zeros((100, 100), np.uint8)
    values[:2, :2], values[50, 50] = 40, 80
    scaled = between_percentiles(values)
    assert scaled[0, 0] == 128 and scaled[50, 50] == 255 and scaled[99, 99] == 0


def test_one_intensity_becomes_black():
    for dtype in (np.uint8, np.uint16, np.float32):
        values = np.full((8, 8), 200, dtype)
        assert not between_percentiles(values).any() and not has_outliers(values)
    assert not stretched(np.ones((2, 2)), 1.0, 1.0).any()


def test_colors_keep_their_hue(tmp_path):
    pixels = np.random.default_rng(0).integers(10, 100, (40, 40, 3)).astype(np.uint8)
    pixels[..., 2] = 60
    path = str(images.save(tmp_path / "a.png", pixels))
    scaled = ImageFileReader(intensities="percentiles").get_data([path])[0]
    assert len(np.unique(scaled[..., 2])) == 1 and 100 < scaled[0, 0, 2] < 160
    assert np.array_equal(ImageFileReader(intensities="percentiles").plain(path), pixels)  # digests stay as they were


def test_a_wrong_name():
    with pytest.raises(InputError, match="intensities is 'max'; use one of 'percentiles', 'min_max'"):
        ImageFileReader(intensities="max")
