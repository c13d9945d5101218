# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.pixels import Pixels
from scripts.image_io.mask_rules import label_ids, smeared_share
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


def squares(*values: int, dtype: str = "uint8") -> np.ndarray:
    """Squares of 8 x 8 pixels of each value, side by side, above and below rows of zeros."""
    row = np.repeat(np.repeat(np.array([values], dtype=dtype), 8, axis=0), 8, axis=1)
    return np.pad(row, ((8, 8), (4, 4)))


def ids_where(values: np.ndarray, num_classes: int = 2, **options) -> np.ndarray:
    return label_ids(Pixels(values), num_classes, "a.png", **options)


@pytest.mark.parametrize("values", [
    (12, 45, 201), (29, 150), (40, 255), (63, 200, 255), (0, 1, 63, 255), (9, 9, 255), (128, 64, 255),
    (250, 3, 77, 140),
])  # fmt: skip
def test_ids_and_tones_in_areas_are_refused(values):
    with pytest.raises(InputError, match="a.png holds ids of classes or objects .*; save background as 0 and"):
        ids(squares(*values))
    np.testing.assert_array_equal(ids_where(squares(*values), instances=True), squares(*values) > 0)


@pytest.mark.parametrize(
    "values, dtype", [((1, 2, 3), "uint8"), ((32,), "uint8"), ((7, 70000), "int32"), ((3,), "float32")]
)
def test_every_id_above_0_is_object_if_the_user_says_so(values, dtype):
    pixels = squares(*values, dtype=dtype)
    np.testing.assert_array_equal(ids_where(pixels, instances=True), pixels > 0)


def test_numbers_that_are_no_ids_of_objects():
    for values in (squares(-1, 3, dtype="int16"), squares(1, dtype="f4") / 2):
        with pytest.raises(InputError, match="a.png has values "):
            ids_where(values, instances=True)
    with pytest.raises(InputError, match="a.png is compressed as JPEG or in a similar way, which smears the ids of"):
        label_ids(Pixels(squares(1, 2), lossy=True), 2, "a.png", instances=True)


WHITE, RED, GREEN = (255, 255, 255), (255, 0, 0), (0, 255, 0)
BLACK = (0, 0, 0)
KINDS = squares(1, 2, 0)


def painted(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.array(colors, dtype=np.uint8)[KINDS]


@pytest.mark.parametrize("colors, named", [
    ((BLACK, RED, GREEN), '--label_colors "[[0, 255, 0], [255, 0, 0]]" .add --out_channels 3'),
    ((BLACK, (48, 112, 32), (176, 112, 32)), '--label_colors "[[48, 112, 32], [176, 112, 32]]"'),
    ((BLACK, (128, 0, 0), (128, 0, 0)), '--label_colors "[[128, 0, 0]]"'),
    ((WHITE, RED, RED), '--background_color "[255, 255, 255]" if this is the background, and name the others by '
     '--label_colors "[[255, 0, 0]]"'),
])  # fmt: skip
def test_colors_that_must_be_named(colors, named):
    pattern = named.replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(InputError, match=f"a.png is drawn in colors .* {pattern}.*, or set --instance_labels"):
        ids(painted(*colors))
    with pytest.raises(InputError, match=f"a.png is a color mask; save one grey .* {pattern}"):
        ids(painted(*colors), 5)
    every = ids_where(painted(*colors), instances=True, background=colors[0])
    np.testing.assert_array_equal(every, KINDS > 0)
    if colors[0] == WHITE:
        with pytest.raises(InputError, match="a.png has no black pixel, so its background is in doubt: it has the col"):
            ids_where(painted(*colors), instances=True)
    by_color = ids_where(painted(*colors), colors=sorted({*colors[1:]}), background=colors[0])
    np.testing.assert_array_equal(by_color, KINDS > 0)


@pytest.mark.parametrize("lossy", [False, True])
def test_a_background_that_is_not_black(lossy):
    pixels = painted(WHITE, RED, RED)
    with pytest.raises(InputError, match="set --background_color"):
        ids(pixels, lossy=lossy)
    for values in (pixels, painted(WHITE, BLACK, BLACK), 255 * (KINDS == 0).astype(np.uint8)):
        read = label_ids(Pixels(values, lossy=lossy), 2, "a.png", background=WHITE)
        np.testing.assert_array_equal(read, KINDS > 0)
    with pytest.raises(InputError, match='or set --background_color ".255, 255, 255." if it is the background'):
        ids_where(pixels, 3, colors=[RED, GREEN])
    three = ids_where(painted(WHITE, RED, GREEN), 3, colors=[RED, GREEN], background=WHITE)
    np.testing.assert_array_equal(three, KINDS)


def test_a_jpeg_in_colors_names_them():
    with pytest.raises(InputError, match=r'name them by --label_colors "\[\[0, 255, 0\], \[255, 0, 0\]\]"$'):
        ids(painted(BLACK, RED, GREEN), 3, lossy=True)
    np.testing.assert_array_equal(ids(painted(BLACK, RED, GREEN), lossy=True), KINDS > 0)


def test_black_and_white_files_have_colors_too():
    for full_scale in (1, 15):
        pixels = Pixels((KINDS == 1).astype(np.uint8) * full_scale, full_scale)
        np.testing.assert_array_equal(label_ids(pixels, 2, "a.png", [WHITE]), KINDS == 1)


def test_smeared_pixels_are_counted():
    edge = few(100, 200, 255)
    assert smeared_share(Pixels(edge), 2) == 2 / edge.size
    assert smeared_share(Pixels(edge), 2, instances=True) == smeared_share(Pixels(edge), 3) == 0
    pixels = painted(WHITE, RED, GREEN)
    pixels[0, :4] = 9
    assert smeared_share(Pixels(pixels), 3, [RED, GREEN], background=WHITE) == pytest.approx(4 / KINDS.size)
