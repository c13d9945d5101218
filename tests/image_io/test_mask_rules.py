# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.pixels import Pixels
from scripts.image_io.mask_rules import label_ids
from scripts.image_io.pages import read_pages
from scripts.image_io.readers import MaskFileReader

OBJECT = images.marked(value=1)


def ids(values: np.ndarray, num_classes: int = 2, **options) -> np.ndarray:
    result = label_ids(Pixels(values, **options), num_classes, "a.png")
    assert result.dtype == np.uint8
    assert result.shape == values.shape[:2]
    return result


def ids_of(path, num_classes: int = 2) -> np.ndarray:
    return label_ids(read_pages(str(path), 10**6)[0], num_classes, str(path))


def few(*values: int, dtype: str = "uint8") -> np.ndarray:
    """Zeros with one pixel of each value."""
    pixels = np.zeros((images.HEIGHT, images.WIDTH), dtype=dtype)
    pixels[0, : len(values)] = values
    return pixels


def palette(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.pad(np.array(colors, dtype=np.uint8), ((0, 256 - len(colors)), (0, 0)))


@pytest.mark.parametrize("dtype, value", [
    ("uint8", 1), ("uint8", 128), ("uint8", 255), ("uint16", 1), ("uint16", 255), ("uint16", 32768), ("uint16", 65535),
    ("int32", 1), ("int32", 255), ("float32", 1), ("float32", 255), ("float64", 65535),
])
def test_two_classes_by_value(dtype, value):
    pixels = np.zeros((40, 30), dtype=dtype)
    pixels[:2, :5] = value  # less than 5 % of the image, as 128 is halfway
    np.testing.assert_array_equal(ids(pixels), pixels > 0)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_constant_masks(value):
    assert (ids(np.full((3, 5), value, dtype=np.uint8)) == (value > 0)).all()


def test_half_of_full_scale_is_object():
    assert ids(few(127, 128, 255))[0, :3].tolist() == [0, 1, 1]
    assert ids(few(32767, 32768, 65535, dtype="uint16"))[0, :3].tolist() == [0, 1, 1]


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 200, 0), (0, 0, 128), (255, 255, 255), (1, 0, 0)])
@pytest.mark.parametrize("alpha", [None, 255, 0])
def test_any_bright_channel_is_object(color, alpha):
    pixels = OBJECT[..., None] * np.array(color, dtype=np.uint8)
    if alpha is not None:
        pixels = np.dstack([pixels, np.full(OBJECT.shape, alpha, dtype=np.uint8)])
    if max(color) == 128:
        pixels[1:, 1:] = 0  # halfway values are an edge at most
    np.testing.assert_array_equal(ids(pixels), pixels[..., :3].any(axis=-1))


@pytest.mark.parametrize("suffix, mode", [
    ("png", "1"), ("png", "L"), ("png", "LA"), ("png", "RGB"), ("png", "RGBA"), ("png", "P"), ("tif", "1"),
    ("tif", "L"), ("tif", "RGB"), ("bmp", "1"), ("bmp", "RGB"), ("gif", "L"),
    ("jpg", "L"), ("jpg", "RGB"), ("jpg", "CMYK"),
])
@pytest.mark.parametrize("value", [255, 0])
def test_two_classes_in_any_file(suffix, mode, value, tmp_path):
    path = images.save(tmp_path / f"a.{suffix}", images.marked(value=value), mode)
    np.testing.assert_array_equal(ids_of(path), images.marked(value=value // 255))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
@pytest.mark.parametrize("color", [[255, 255, 0], [90, 0, 0], [2, 2, 2]])
def test_palette_indices_count_for_two_classes(suffix, color, tmp_path):
    path = images.save_palette(tmp_path / f"a.{suffix}", OBJECT, [0, 0, 0, *color])
    np.testing.assert_array_equal(ids_of(path), OBJECT)


def test_colors_count_where_indices_exceed_1():
    colors = palette((0, 0, 0), (10, 10, 10), (0, 255, 0), (60, 0, 0))
    assert ids(few(1, 2, 3), palette=colors)[0, :4].tolist() == [0, 1, 0, 0]


def test_a_palette_against_its_indices_is_refused():
    with pytest.raises(InputError, match="a.png .* palette that shows index 0 bright and index 1 dark.*; save it as"):
        ids(OBJECT, palette=palette((255, 255, 255), (0, 0, 0)))


@pytest.mark.parametrize("values, cure", [
    (few(2), "has label 2, .* 2 classes .values found: 0, 2.; set --out_channels 3, or save background as 0"),
    (few(1, 2), "has label 2, .* 2 classes .values found: 0, 1, 2.; set --out_channels 3, or save background as 0"),
    (few(*range(1, 24)), "has label 23, .*found: 0, 1, 2, 3, 4 and 19 more.; set --out_channels 24, or save"),
    (few(127), "has label 127, .*; set --out_channels 128, or save"),
    (few(256, dtype="uint16"), "has label 256, .*; save background as 0 and every object as 255"),
])
def test_ids_of_more_classes_are_refused_for_two(values, cure):
    with pytest.raises(InputError, match=f"a.png {cure}"):
        ids(values)


def test_a_dark_jpeg_is_no_case_for_more_classes():
    with pytest.raises(InputError, match=r"\(values found: 0, 2\); save background as 0 and every object as 255"):
        ids(few(2), lossy=True)


@pytest.mark.parametrize("values", [
    few(1, 255), few(1, 65535, dtype="uint16"), np.arange(201, dtype=np.uint8).repeat(30).reshape(-1, 201),
    few(*[1, 255] * 12)[:1], few(1, 2, 255), few(1, 2, 3, 4, 255), few(*[1, 2, 255] * 8)[:1],
], ids=[
    "an ignore label", "in 16 bits", "one id per object", "no background", "and two ids", "and four", "and no backdrop"
])
def test_ids_are_not_thresholded(values):
    with pytest.raises(InputError, match="a.png holds ids rather than background and object .values found: .*; save"):
        ids(values)


@pytest.mark.parametrize("values", [few(1, 254, 255), few(200), few(3, 252, 255)])
def test_soft_edges_are_thresholded(values):
    np.testing.assert_array_equal(ids(values), values > 127)


def test_a_smeared_jpeg_is_thresholded():
    np.testing.assert_array_equal(ids(few(1, 255), lossy=True), few(0, 1))


@pytest.mark.parametrize("full_scale, dtype", [(255, "uint8"), (65535, "uint16")])
def test_pixels_between_dark_and_bright(full_scale, dtype):
    pixels = np.zeros((10, 10), dtype=dtype)
    pixels[0] = full_scale
    pixels[1, :5] = full_scale // 2
    assert ids(pixels).sum() == 10
    pixels[1, 5] = full_scale // 4 + 1
    with pytest.raises(InputError, match="a.png is no mask of two classes, as 6% of its pixels are .*; save back"):
        ids(pixels)
    pixels[1, 5] = full_scale // 4
    assert ids(pixels).sum() == 10
    pixels[1, 5] = full_scale * 3 // 4
    with pytest.raises(InputError, match="6% of its pixels"):
        ids(pixels)


def test_a_photograph_is_refused(tmp_path):
    pixels = images.ramp(16, 24, 3, dtype="uint8", step=5)
    with pytest.raises(InputError, match="a.png is no mask of two classes, .*values found: 10, 11, 12, 13, 14 and"):
        ids_of(images.save(tmp_path / "a.png", pixels))


@pytest.mark.parametrize("num_classes, dtype", [(3, "uint8"), (3, "uint16"), (3, "float32"), (256, "uint8")])
def test_grey_values_are_ids_of_more_classes(num_classes, dtype):
    values = few(1, 2, num_classes - 1, dtype=dtype)
    np.testing.assert_array_equal(ids(values, num_classes), values)


@pytest.mark.parametrize("suffix, mode", [("png", "L"), ("png", "LA"), ("png", "RGB"), ("png", "RGBA"), ("tif", "RGB")])
def test_equal_channels_are_ids_of_more_classes(suffix, mode, tmp_path):
    path = images.save(tmp_path / f"a.{suffix}", few(1, 2, 5), mode)
    np.testing.assert_array_equal(ids_of(path, 6), few(1, 2, 5))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_palette_indices_are_ids_of_more_classes(suffix, tmp_path):
    path = images.save_palette(tmp_path / f"a.{suffix}", few(1, 2, 3), [0, 0, 0, 128, 0, 0, 0, 128, 0, 7, 7, 7])
    np.testing.assert_array_equal(ids_of(path, 4), few(1, 2, 3))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_ids_of_more_classes(bits, tmp_path):
    values = few(1, 2**bits - 1)
    np.testing.assert_array_equal(ids_of(images.save_png(tmp_path / "a.png", values, bits=bits), 16), values)


@pytest.mark.parametrize("full_scale", [3, 15])
def test_white_of_few_bits_is_object(full_scale):
    values = few(full_scale)
    np.testing.assert_array_equal(ids(values, full_scale=full_scale), values > 0)
    with pytest.raises(InputError, match=f"a.png has label {full_scale}, .*values found: 0, 1, {full_scale}"):
        ids(few(1, full_scale), full_scale=full_scale)


@pytest.mark.parametrize("values, num_classes, cure", [
    (few(1, 3, 7), 3, "3, 7; set --out_channels 8, or save it with the ids 0 to 2"),
    (few(2, 255), 3, "255; save it with the ids 0 to 2"),
    (few(*range(3, 10)), 3, "3, 4, 5, 6, 7 and 2 more; set --out_channels 10, or save it with the ids 0 to 2"),
    (few(1, 300, dtype="uint16"), 4, "300; save it with the ids 0 to 3"),
])
def test_ids_out_of_range_are_refused(values, num_classes, cure):
    with pytest.raises(InputError, match=f"a.png has labels out of range for {num_classes} classes: {cure}"):
        ids(values, num_classes)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("values, found", [
    (few(-1, dtype="int16"), "from -1 to 0"), (few(70000, dtype="int32"), "from 0 to 70000"),
    (few(0, dtype="float32") + 0.5, "such as 0.5"),
])
def test_other_numbers_are_refused(values, found, num_classes):
    with pytest.raises(InputError, match=f"a.png has values {found}; save .*label ids, or 0 and 255"):
        ids(values, num_classes)


def test_colors_are_refused_for_more_classes():
    with pytest.raises(InputError, match="a.png is a color mask; save one grey value per class, 0 to 2, as 8-bit"):
        ids(few(1)[..., None] * np.array([1, 0, 0], dtype=np.uint8), 3)


def test_jpeg_is_refused_for_more_classes(tmp_path):
    with pytest.raises(InputError, match="a.jpg is compressed as JPEG or in a similar way, which smears the ids of 3"):
        ids_of(images.save(tmp_path / "a.jpg", few(1, 2)), 3)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("planes", [2, 4])
def test_a_mask_in_alpha_alone_is_refused(planes, num_classes):
    values = np.full((*OBJECT.shape, planes), 255, dtype=np.uint8)
    values[..., -1] = images.marked()
    with pytest.raises(InputError, match="a.png is drawn in the alpha channel alone; flatten it onto black"):
        ids(values, num_classes)


def test_masks_of_the_bundle_are_read_again(tmp_path):
    """Palette PNGs, as inference writes them."""
    path = images.save_palette(tmp_path / "a.png", OBJECT, [0, 0, 0, 230, 159, 0, 86, 180, 233])
    for num_classes in (2, 3):
        np.testing.assert_array_equal(MaskFileReader(num_classes).get_data([str(path)])[0], OBJECT)
