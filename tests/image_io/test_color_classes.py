# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from scripts.common.errors import InputError
from scripts.image_io.color_classes import (
    alike,
    area_colors,
    check_colors,
    codes_of,
    describe_colors,
    nearest_colors,
    smeared_colors,
)

BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)


def plainly(values: np.ndarray, colors: list) -> tuple[np.ndarray, np.ndarray]:
    """The formula of ``nearest_colors``, pixel by pixel."""
    table = np.array(colors, dtype=np.int64)
    ids = ((values[..., None, :].astype(np.int64) - table) ** 2).sum(-1).argmin(-1)
    return ids, np.abs(values.astype(np.int64) - table[ids]).max(-1) > 63


def mask_of(*colors: tuple[int, int, int], back: tuple[int, int, int] = BLACK) -> np.ndarray:
    """Squares of 12 x 12 pixels of each color in a (32, 120) picture."""
    mask = np.full((32, 120, 3), back, np.uint8)
    for number, color in enumerate(colors):
        mask[8:20, 4 + 16 * number : 16 + 16 * number] = color
    return mask


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40, 255])
def test_the_table_is_exact(count):
    rng = np.random.default_rng(count)
    colors = [BLACK, *map(tuple, rng.integers(0, 256, (count, 3)).tolist())]
    values = rng.integers(0, 256, (120, 90, 3)).astype(np.uint8)
    near = np.array(colors)[rng.integers(0, len(colors), (60, 90))] + rng.integers(-9, 10, (60, 90, 3))
    for pixels in (values, near.clip(0, 255).astype(np.uint8)):
        classes, off = nearest_colors(pixels, colors)
        expected, far = plainly(pixels, colors)
        assert classes.dtype == np.uint8
        np.testing.assert_array_equal(classes, expected)
        np.testing.assert_array_equal(off, far)


def test_of_equally_near_colors_the_first_counts():
    grey = np.full((1, 1, 3), 10, np.uint8)
    assert nearest_colors(grey, [BLACK, (20, 20, 20)])[0].item() == 0
    assert nearest_colors(grey, [(20, 20, 20), BLACK])[0].item() == 0
    assert nearest_colors(grey, [RED, BLACK, BLACK])[0].item() == 1


def test_colors_of_areas_are_found():
    mask = mask_of((48, 112, 32), (176, 112, 32), (176, 112, 32))
    mask[0, :20] = 77  # a line fills no area
    assert area_colors(codes_of(mask)) == [BLACK, (176, 112, 32), (48, 112, 32)]
    assert area_colors(codes_of(mask_of(RED, BLUE, back=WHITE)))[0] == WHITE


@pytest.mark.parametrize("quality", [5, 20, 50, 75, 90, 100])
def test_a_mask_that_was_jpeg_before_keeps_its_colors(quality):
    rows, columns = np.mgrid[:96, :128]
    disc = np.where(np.hypot(rows - 40, columns - 60)[..., None] < 30, RED, BLACK).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(disc).save(file, "JPEG", quality=quality)
    codes = codes_of(np.asarray(Image.open(file)))
    dark, bright = area_colors(codes)
    assert alike(dark, BLACK) and alike(bright, RED)
    dark, bright = smeared_colors(codes)[:2]
    assert alike(dark, BLACK) and alike(bright, RED)


@pytest.mark.parametrize("mask, classes, words", [
    (mask_of((48, 112, 32)), 2, '[48, 112, 32] (3.8%); name them by --label_colors "[[48, 112, 32]]"'),
    (mask_of(BLUE, RED), 3, '(3.8%); name them by --label_colors "[[0, 0, 255], [255, 0, 0]]"'),
    (mask_of(RED, BLUE), 2, '"[[0, 0, 255], [255, 0, 0]]" (add --out_channels 3 to tell them apart)'),
    (mask_of(RED, BLUE), 7, '"[[0, 0, 255], [255, 0, 0]]" (add --out_channels 3)'),
    (mask_of(RED, back=WHITE), 2,
     'colors [255, 255, 255] (96.2%), [255, 0, 0] (3.8%); set --background_color "[255, 255, 255]" if this is the '
     'background, and name the others by --label_colors "[[255, 0, 0]]"'),
    (mask_of(*[(20 * i, 255 - 20 * i, 99) for i in range(1, 9, 2)], RED, BLUE), 2, "and 1 more; name them"),
])  # fmt: skip
def test_colors_are_described_with_the_cure(mask, classes, words):
    assert words in describe_colors(codes_of(mask), classes, None, lossy=False)


def test_specks_and_a_named_background_are_described():
    mask = mask_of()
    mask[3, 3] = RED
    assert describe_colors(codes_of(mask), 2, None, lossy=False).endswith('--label_colors "[[255, 0, 0]]"')
    words = describe_colors(codes_of(mask_of(RED, back=WHITE)), 2, WHITE, lossy=True)
    assert words.endswith('name them by --label_colors "[[255, 0, 0]]"')


@pytest.mark.parametrize("background, colors, classes, message", [
    ("white", None, 2, "background_color is 'white'; give .red, green, blue., each 0 to 255"),
    ([255, 255], None, 2, "each 0 to 255"), ([0, 0, 256], None, 2, "each 0 to 255"), ([0.5, 0, 0], None, 2, "give"),
    (WHITE, None, 3, "for 3 classes without label_colors; name their colors by --label_colors, or leave it out"),
])  # fmt: skip
def test_wrong_backgrounds(background, colors, classes, message):
    with pytest.raises(InputError, match=message):
        check_colors(colors, background, classes)
