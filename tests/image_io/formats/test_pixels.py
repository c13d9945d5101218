# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.pixels import Pixels, check_size
from scripts.image_io.pages import read_pages

SHAPE = (images.HEIGHT, images.WIDTH)
LIMIT = images.HEIGHT * images.WIDTH


def read(path) -> Pixels:
    (page,) = read_pages(str(path), LIMIT, single=True)
    return page


@pytest.mark.parametrize(
    "suffix, mode, channels",
    [
        *[("png", mode, channels) for mode, channels in (("L", None), ("LA", 2), ("RGB", 3), ("RGBA", 4))],
        *[("tif", mode, channels) for mode, channels in (("L", None), ("LA", 2), ("RGB", 3), ("RGBA", 4))],
        ("bmp", "L", None),
        ("bmp", "RGB", 3),
        ("gif", "L", None),
    ],
)
def test_8_bits_are_kept(suffix, mode, channels, tmp_path):
    pixels = images.ramp(*SHAPE, *([channels] if channels else []), dtype="uint8", step=7)
    image = Image.fromarray(pixels)
    assert image.mode == mode
    image.save(tmp_path / f"a.{suffix}")
    values, *rest = read(tmp_path / f"a.{suffix}")
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, pixels)
    assert rest == [255, None, False, False, None]


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("channels", [None, 2, 3, 4])
def test_16_bit_png_keeps_both_bytes(channels, interlace, tmp_path):
    pixels = images.ramp(*SHAPE, *([channels] if channels else []))
    values = read(images.save_png(tmp_path / "a.png", pixels, interlace=interlace)).values
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values, pixels)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deep_color_tiff_keeps_every_bit(dtype, planarconfig, compression, byteorder, tmp_path):
    pixels = images.ramp(*SHAPE, 3, dtype=dtype)
    stored = np.moveaxis(pixels, -1, 0) if planarconfig == "separate" else pixels
    options = {"photometric": "rgb", "planarconfig": planarconfig, "compression": compression, "byteorder": byteorder}
    values = read(images.save_tiff(tmp_path / "a.tif", stored, **options)).values
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, pixels)


@pytest.mark.parametrize("pixels", [images.ramp(*SHAPE, 4), images.ramp(*SHAPE, 2)], ids=["RGBA", "grey and alpha"])
def test_deep_tiff_with_alpha(pixels, tmp_path):
    options = {"photometric": "rgb" if pixels.shape[-1] == 4 else "minisblack", "extrasamples": ["unassalpha"]}
    path = images.save_tiff(tmp_path / "a.tif", pixels, planarconfig="contig", **options)
    np.testing.assert_array_equal(read(path).values, pixels)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", "int8 int16 uint16 int32 uint32 uint64 float16 float32 float64".split())
def test_grey_tiff_keeps_every_bit(dtype, compression, byteorder, tmp_path):
    top = 2.0**15 if dtype == "float16" else 0.1 if dtype.startswith("float") else np.iinfo(dtype).max
    pixels = images.ramp(*SHAPE, dtype=dtype, step=1)
    pixels[0, 0] = top
    path = images.save_tiff(tmp_path / "a.tif", pixels, compression=compression, byteorder=byteorder)
    values = read(path).values
    assert values.dtype.isnative
    np.testing.assert_array_equal(values, pixels)


def test_a_grey_tiff_that_calls_itself_rgb_is_grey(tmp_path):
    pixels = images.marked(dtype="uint16", value=65535)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(tifffile.PHOTOMETRIC.RGB)
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, pixels)


def test_16_bit_grey_tiff_with_lzw(tmp_path):
    pixels = images.ramp(*SHAPE)
    path = images.save(tmp_path / "a.tif", pixels, compression="tiff_lzw")
    np.testing.assert_array_equal(read(path).values, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_tiff_with_white_as_zero(dtype, tmp_path):
    pixels = images.ramp(*SHAPE, dtype=dtype, step=1)
    path = images.save_tiff(tmp_path / "a.tif", np.iinfo(dtype).max - pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read(path).values, pixels)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_1_bit(suffix, tmp_path):
    path = images.save(tmp_path / f"a.{suffix}", images.marked(), "1")
    values, full_scale, *_ = read(path)
    assert full_scale == 1
    np.testing.assert_array_equal(values, images.marked(value=1))


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_of_grey_are_kept(bits, tmp_path):
    pixels = images.ramp(*SHAPE, dtype="uint8", step=1) % 2**bits
    values, full_scale, *_ = read(images.save_png(tmp_path / "a.png", pixels, bits=bits))
    assert full_scale == 2**bits - 1
    np.testing.assert_array_equal(values, pixels)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_palette_and_indices(suffix, tmp_path):
    indices = images.marked(value=2)
    path = images.save_palette(tmp_path / f"a.{suffix}", indices, [9, 8, 7, 1, 1, 1, 3, 200, 5])
    values, _, palette, *_ = read(path)
    np.testing.assert_array_equal(values, indices)
    assert palette.shape == (256, 3)
    assert palette[0].tolist() == [9, 8, 7]
    assert palette[2].tolist() == [3, 200, 5]


@pytest.mark.parametrize("suffix, mode", [("jpg", "CMYK"), ("tif", "CMYK"), ("tif", "YCbCr"), ("jpg", "YCbCr")])
def test_other_color_spaces_become_rgb(suffix, mode, tmp_path):
    pixels = np.full((*SHAPE, 3), (200, 100, 30), dtype=np.uint8)
    path = images.save(tmp_path / f"a.{suffix}", pixels, mode)
    np.testing.assert_allclose(read(path).values, pixels, atol=2)


@pytest.mark.parametrize("suffix, options", [("jpg", {}), ("tif", {"compression": "jpeg"})])
def test_jpeg_is_known_as_lossy(suffix, options, tmp_path):
    assert read(images.save(tmp_path / f"a.{suffix}", images.marked(), **options)).lossy


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "deep png", "deep tif", "float tif", "late png"])
def test_orientation_is_applied(kind, orientation, tmp_path):
    upright = images.ramp(*SHAPE, 3) if kind.startswith("deep") else images.ramp(*SHAPE, dtype="uint8", step=3)
    upright = upright.astype("float64") if kind == "float tif" else upright
    stored, path = images.stored_as(upright, orientation), tmp_path / f"a.{kind[-3:]}"
    if kind in ("deep tif", "float tif"):
        images.save_tiff(path, stored, extratags=[(images.ORIENTATION, "H", 1, orientation, True)])
    elif kind == "deep png":
        images.add_behind_pixels(images.save_png(path, stored), images.late_exif(orientation))
    elif kind == "late png":
        images.add_behind_pixels(images.save(path, stored), images.late_exif(orientation))
    else:
        images.save(path, stored, exif=images.exif(orientation))
    np.testing.assert_array_equal(read(path).values, upright)


def test_a_tiff_codec_that_is_not_installed_is_named(tmp_path, monkeypatch):
    path = images.save_tiff(tmp_path / "a.tif", images.ramp(*SHAPE, 3), photometric="rgb", compression="zlib")

    def missing(*args):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)
    with pytest.raises(InputError, match="a.tif cannot be read .*requires the 'imagecodecs' package.*; get a new copy"):
        read(path)


@pytest.mark.parametrize(
    "pixels, options",
    [(images.marked(dtype="complex64"), {}), (images.ramp(*SHAPE, 4), {"photometric": "separated"})],
    ids=["complex", "deep CMYK"],
)
def test_other_deep_types_are_refused(pixels, options, tmp_path):
    with pytest.raises(InputError, match="a.tif cannot be read .* are not supported"):
        read(images.save_tiff(tmp_path / "a.tif", pixels, **options))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted(value, tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", images.marked(dtype="float32", value=value))
    with pytest.raises(InputError, match="a.tif has 24 values that are NaN or infinite; replace them"):
        read(path)


def test_more_pixels_than_allowed_are_refused_before_decoding(tmp_path):
    path = images.empty_png(tmp_path / "a.png", 60_000, 50_000)
    with pytest.raises(InputError, match="a.png has 60000 x 50000 pixels, more than max_pixels=384; crop or shrink it"):
        read(path)


def test_a_size_is_checked_with_all_pages():
    check_size("a.tif", (3, 4), 5, 60)
    with pytest.raises(InputError, match="a.tif has 4 x 3 pixels on each of 5 pages, frames or slices, more than max"):
        check_size("a.tif", (3, 4), 5, 59)


@pytest.mark.parametrize("size, pages, message", [
    ((0, 4), 1, "4 x 0 pixels"), ((3, 0), 1, "0 x 3 pixels"), ((-3, -4), 1, "-4 x -3 pixels"),
    ((3, 4), 0, "0 pages"), ((3, 4), -5, "-5 pages"), ((-3, 4), -5, "4 x -3 pixels"),
])
def test_sizes_below_1_are_refused(size, pages, message):
    with pytest.raises(InputError, match=f"a.tif has {message}.*, so it is damaged; get a new copy"):
        check_size("a.tif", size, pages, 10**6)


@pytest.mark.parametrize("mode", ["L", "RGB", "deep"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif"])
def test_a_file_cut_short_is_refused(suffix, mode, tmp_path):
    path = tmp_path / f"a.{suffix}"
    if mode == "deep" and suffix in ("png", "tif"):
        pixels = np.random.default_rng(0).integers(0, 65536, (*SHAPE, 3), dtype=np.uint16)
        images.save_png(path, pixels) if suffix == "png" else images.save_tiff(path, pixels, photometric="rgb")
    else:
        pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
        images.save(path, pixels, "RGB" if mode == "RGB" else "L")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 200])
    with pytest.raises(InputError, match=rf"a\.{suffix} cannot be read \(.+\); get a new copy, or save it again"):
        read(path)
