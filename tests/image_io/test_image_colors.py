# SPDX-License-Identifier: Apache-2.0

"""Masks drawn in colors, and images in another color space."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.readers import ImageFileReader, MaskFileReader

COLORS = [[255, 0, 0], [0, 255, 0]]


def test_classes_by_color(tmp_path):
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:4, :6] = (250, 10, 3)
    pixels[8:, 12:] = (100, 140, 90)  # nearest to green
    path = str(images.save(tmp_path / "a.png", pixels))
    expected = np.zeros((16, 24), np.uint8)
    expected[:4, :6], expected[8:, 12:] = 1, 2
    palette = images.save_palette(tmp_path / "p.png", expected, [0, 0, 0, 0, 255, 0, 255, 0, 0])
    for name, ids in ((path, expected), (str(palette), np.array([0, 2, 1], np.uint8)[expected])):
        if name == path:
            with pytest.raises(InputError, match=r"none of label_colors in 25% of .* such as \[100, 140, 90\]"):
                MaskFileReader(3, colors=COLORS).get_data([name])
        else:
            np.testing.assert_array_equal(MaskFileReader(3, colors=COLORS).get_data([name])[0], ids)
    pixels[8:, 12:] = (40, 200, 30)
    images.save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(MaskFileReader(3, colors=COLORS).get_data([path])[0], expected)
    np.testing.assert_array_equal(MaskFileReader(2, colors=COLORS).get_data([path])[0], expected > 0)


def test_a_gray_mask_has_no_colors(tmp_path):
    path = str(images.save(tmp_path / "a.png", images.marked()))
    with pytest.raises(InputError, match=r"such as \[255, 255, 255\]; add the color to --label_colors"):
        MaskFileReader(3, colors=COLORS).get_data([path])
    deep = images.save_png(tmp_path / "deep.png", images.ramp(16, 24, 3))
    with pytest.raises(InputError, match="deep.png is deeper than 8 bits; save a mask of colors as 8-bit RGB"):
        MaskFileReader(3, colors=COLORS).get_data([str(deep)])


@pytest.mark.parametrize("colors, classes, message", [
    ("red", 3, "label_colors is 'red'; give a list of"),
    ([[255, 0], [0, 255]], 3, "give a list of .red, green, blue., each 0 to 255"),
    ([[256, 0, 0], [0, 0, 0]], 3, "each 0 to 255"),
    (COLORS, 4, "label_colors names 2 colors for 4 classes; set --out_channels 3, or 2 to take all"),
])
def test_wrong_colors(colors, classes, message):
    with pytest.raises(InputError, match=message):
        MaskFileReader(classes, colors=colors)


def test_ycrcb(tmp_path):
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:4, :6], pixels[4:8], pixels[8:] = 255, (255, 0, 0), (10, 200, 90)
    path = str(images.save(tmp_path / "a.png", pixels))
    values, _ = ImageFileReader(color_space="YCrCb").get_data([path])
    assert values.dtype == np.uint8
    luma, blue, red = np.asarray(Image.fromarray(pixels).convert("YCbCr"), dtype=int).transpose(2, 0, 1)
    assert np.abs(values - np.stack([luma, red, blue], axis=-1)).max() <= 1  # Pillow's tables round otherwise
    assert values[0, 0].tolist() == [255, 128, 128] and values[0, 23].tolist() == [0, 128, 128]
    deep = images.save_png(tmp_path / "deep.png", pixels.astype(np.uint16) * 257)
    np.testing.assert_allclose(ImageFileReader(color_space="YCrCb").get_data([str(deep)])[0], values, atol=0.51)
    with pytest.raises(InputError, match="color_space is 'HSV'; use \"RGB\" or \"YCrCb\""):
        ImageFileReader(color_space="HSV")
