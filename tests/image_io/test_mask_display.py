# SPDX-License-Identifier: Apache-2.0

"""Masks with alpha, palettes and inverting tables, as drawing programs and ImageJ save them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.pixels import Pixels
from scripts.image_io.mask_display import as_stored, distances_to, without_alpha
from scripts.image_io.readers import MaskFileReader

WHITE, RED, GREEN = [255, 255, 255], [255, 0, 0], [0, 255, 0]
OBJECT = images.marked(value=1)
IDS = np.zeros((32, 48), np.uint8)
IDS[2:14, 2:14], IDS[16:30, 20:40] = 1, 2
IN_DOUBT = 'object and background are in doubt; save it as grey, .* --background_color "\\[255, 255, 255\\]" for white'


def read(path, classes: int = 2, **options) -> np.ndarray:
    return MaskFileReader(classes, **options).get_data([str(path)])[0]


def layer(tmp_path, below: tuple, above: tuple, opacity: tuple[int, int] = (0, 255)):
    """An RGBA mask: ``below`` and its opacity in the background, ``above`` and its opacity in the object."""
    colors = np.array([[*below, opacity[0]], [*above, opacity[1]]], dtype=np.uint8)
    return images.save(tmp_path / "a.png", colors[OBJECT])


@pytest.mark.parametrize("below, above, opacity", [
    (WHITE, RED, (0, 255)), (RED, WHITE, (0, 255)), (WHITE, RED, (0, 90)), ((9, 9, 9), WHITE, (100, 255)),
])  # fmt: skip
def test_hidden_pixels_are_background(below, above, opacity, tmp_path):
    path = layer(tmp_path, below, above, opacity)
    np.testing.assert_array_equal(read(path), OBJECT)
    np.testing.assert_array_equal(read(path, instance_labels=True), OBJECT)
    np.testing.assert_array_equal(read(path, colors=[above]), OBJECT)


def test_constant_alpha_changes_nothing(tmp_path):
    for opacity in (0, 7, 255):
        np.testing.assert_array_equal(read(layer(tmp_path, (0, 0, 0), RED, (opacity, opacity))), OBJECT)


def test_black_ink_on_nothing_is_refused(tmp_path):
    path = layer(tmp_path, WHITE, (0, 0, 0))
    for options in ({}, {"instance_labels": True}, {"colors": [RED]}):
        with pytest.raises(InputError, match="a.png shows nothing but background where it is opaque; flatten it onto"):
            read(path, **options)
    np.testing.assert_array_equal(read(path, background_color=WHITE), OBJECT)


def test_hidden_ids_are_background(tmp_path):
    values = np.dstack([IDS + 1, np.where(IDS > 0, 255, 0).astype(np.uint8)])
    path = images.save(tmp_path / "a.png", values)
    np.testing.assert_array_equal(read(path, 4), np.where(IDS > 0, IDS + 1, 0))


@pytest.mark.parametrize("mode, hidden", [("L", 255), ("RGB", (255, 255, 255)), ("P", 1)])
def test_a_transparent_value_or_index_is_background(mode, hidden, tmp_path):
    """White is transparent, the object is gray or red, and there is some black."""
    grey = np.where(OBJECT, 200, 255).astype(np.uint8)
    grey[-3:] = 0
    picture = Image.fromarray(grey)
    if mode == "P":
        picture = Image.fromarray(np.select([grey == 255, grey == 200], [1, 2]).astype(np.uint8))
        picture.putpalette([0, 0, 0, *WHITE, *RED])
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "a.png", transparency=hidden)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), OBJECT)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_as_zero_is_in_doubt(dtype, tmp_path):
    stored = OBJECT.astype(dtype) * np.iinfo(dtype).max
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    with pytest.raises(InputError, match=f"a.tif stores white as zero, as by an inverting .*{IN_DOUBT}"):
        read(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", background_color=WHITE), OBJECT)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", background_color=[0, 0, 0]), 1 - OBJECT)


def test_ids_are_read_as_they_are_stored(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", IDS, photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", 3), IDS)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", instance_labels=True), IDS > 0)
    assert as_stored(Pixels(np.array([[12]], np.uint8), 15, inverted=True)).item() == 3


def test_one_bit_is_read_as_it_is_shown(tmp_path):
    Image.fromarray(OBJECT * 255).convert("1").save(tmp_path / "a.tif", compression="group4")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), OBJECT)


def test_an_inverting_palette_is_in_doubt(tmp_path):
    """ImageJ saves an 8-bit mask with an inverting lookup table as a palette."""
    reverse = np.repeat(np.arange(255, -1, -1), 3).tolist()
    path = images.save_palette(tmp_path / "a.png", OBJECT * 255, reverse)
    with pytest.raises(InputError, match=f"a.png has a palette that shows its values in reverse, .*{IN_DOUBT}"):
        read(path)
    np.testing.assert_array_equal(read(path, background_color=WHITE), OBJECT)
    np.testing.assert_array_equal(read(path, instance_labels=True), OBJECT)
    ids = images.save_palette(tmp_path / "ids.png", IDS, reverse)
    np.testing.assert_array_equal(read(ids, 3), IDS)


def test_a_palette_with_black_above_0_is_in_doubt(tmp_path):
    path = images.save_palette(tmp_path / "a.png", IDS, [*RED, 0, 0, 0, *GREEN])
    expected = np.array([1, 0, 2], np.uint8)[IDS]
    for classes, options in ((3, {}), (2, {"instance_labels": True})):
        with pytest.raises(InputError, match="shows index 1 black, but index 0 as .255, 0, 0., so the backgr"):
            read(path, classes, **options)
    np.testing.assert_array_equal(read(path, 3, colors=[RED, GREEN]), expected)


def test_a_palette_of_several_kinds_is_refused_for_two(tmp_path):
    """A void, for example, which is no object."""
    path = images.save_palette(tmp_path / "a.png", IDS, [0, 0, 0, 192, 0, 0, 224, 224, 192])
    with pytest.raises(InputError, match=r'--label_colors "\[\[192, 0, 0\], \[224, 224, 192\]\]" .*, or set --inst'):
        read(path)
    np.testing.assert_array_equal(read(path, instance_labels=True), IDS > 0)
    np.testing.assert_array_equal(read(path, 3), IDS)


def test_distances():
    values = np.array([[[255, 250, 255], [255, 0, 0]]], dtype=np.uint8)
    assert distances_to(values, 255, (255, 255, 255), "a.png").tolist() == [[5, 255]]
    assert distances_to(values, 255, (0, 0, 0), "a.png").tolist() == [[255, 255]]
    assert distances_to(np.array([[0, 15]]), 15, (255, 255, 255), "a.png").tolist() == [[15, 0]]
    assert distances_to(np.array([[65535, 0]]), 255, (255, 0, 0), "a.png").tolist() == [[65535, 65535]]


def test_half_of_the_largest_opacity_hides():
    values = np.array([[[1, 100], [2, 49], [3, 50], [4, 0]]], dtype=np.uint8)
    opaque, hidden = without_alpha(Pixels(values), "a.png")
    assert opaque.values.tolist() == [[1, 2, 3, 4]] and hidden.tolist() == [[False, True, False, True]]
