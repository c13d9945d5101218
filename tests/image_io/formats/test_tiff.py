# SPDX-License-Identifier: Apache-2.0

"""Headers of TIFF files, also of those that Pillow does not know or would change."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import TiffPage

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.headers import open_image, page_count
from scripts.image_io.formats.registry import format_of
from scripts.image_io.formats.tiff import is_exact, tiff_header, tile_size
from scripts.image_io.pages import read_pages

SIZE = (images.HEIGHT, images.WIDTH)


def image_size(path: str) -> tuple[int, int]:
    with format_of(path).open(path) as file:
        return file.size


@pytest.mark.parametrize("dtype, channels, byteorder, exact", [
    ("uint8", None, "<", True), ("uint8", 3, ">", True), ("int8", None, "<", False), ("uint16", None, ">", True),
    ("uint16", 3, "<", False), ("uint32", None, "<", False), ("int32", None, "<", True), ("int32", None, ">", False),
    ("float32", None, "<", True),
])
def test_pillow_decodes_what_it_keeps(dtype, channels, byteorder, exact, tmp_path):
    options = {"photometric": "rgb" if channels else "minisblack", "byteorder": byteorder}
    path = images.save_tiff(tmp_path / "a.tif", images.marked(channels, dtype, 1), **options)
    with TiffImageFile(path) as image:
        assert is_exact(image) == exact
    with open_image(str(path), tiff_header) as source:
        assert isinstance(source, TiffImageFile if exact else TiffPage)


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_tiles_have_a_size(dtype, tmp_path):
    images.save_tiff(tmp_path / "a.tif", images.marked(dtype=dtype), tile=(32, 48))
    images.save_tiff(tmp_path / "b.tif", images.marked(dtype=dtype))
    with open_image(str(tmp_path / "a.tif"), tiff_header) as source:
        assert tile_size(source) == (32, 48)
    with open_image(str(tmp_path / "b.tif"), tiff_header) as source:
        assert tile_size(source) == (0, 0)


def test_orientation_of_a_tiff_that_pillow_does_not_know(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", np.zeros(SIZE[::-1]), extratags=[(images.ORIENTATION, "H", 1, 6, True)])
    assert image_size(str(path)) == SIZE


def test_pages_that_pillow_does_not_know(tmp_path):
    pixels = np.stack([images.marked(value=value).astype(float) for value in (3, 7)])
    path = images.save_tiff(tmp_path / "a.tif", pixels, photometric="minisblack")
    with open_image(str(path), tiff_header, 1) as second:
        assert page_count(second) == 2 and second.asarray().max() == 7


@pytest.mark.parametrize(
    "pixels, options, channels",
    [
        (images.marked(5), {"photometric": "rgb"}, 5),
        (images.marked(2), {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": [0]}, 2),
        (images.marked(2, "uint16"), {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": [0]}, 2),
        (images.marked(7, "uint16"), {"photometric": "minisblack", "planarconfig": "contig"}, 7),
    ],
    ids=["RGB and two", "two stains", "two deep stains", "seven bands"],
)
def test_other_channels_are_refused(pixels, options, channels, tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(InputError, match=f"a.tif has {channels} channels; save one grey channel or RGB"):
        image_size(str(path))


STAINS = np.stack([images.marked(value=value) for value in (40, 90, 200)])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("options", [
    {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "RFP"]}}},
    {"imagej": True, "metadata": {"axes": "CYX", "mode": "composite"}},
    {"metadata": {"axes": "CYX"}},
], ids=["OME", "ImageJ", "tifffile"])
def test_channels_on_pages_are_no_slices(options, dtype, tmp_path):
    if "imagej" in options and dtype == "float64":
        pytest.skip("ImageJ has no such type")
    path = images.save_tiff(tmp_path / "a.tif", STAINS.astype(dtype), photometric="minisblack", **options)
    with pytest.raises(InputError, match="a.tif has 3 channels, such as stains, on pages of their own; save one"):
        image_size(str(path))
    options = {**options, "metadata": {"axes": "ZYX"}}
    path = images.save_tiff(tmp_path / "b.tif", STAINS.astype(dtype), photometric="minisblack", **options)
    pages = read_pages(str(path), 10**4)
    assert [page.values.max() for page in pages] == [40, 90, 200] and pages[0].values.shape == SIZE


@pytest.mark.parametrize("axes", ["YX", "YXS"])
def test_a_single_image_with_metadata_is_no_stack(axes, tmp_path):
    pixels = images.marked(3 if axes == "YXS" else None)
    options = {"photometric": "rgb"} if axes == "YXS" else {}
    path = images.save_tiff(tmp_path / "a.ome.tif", pixels, ome=True, metadata={"axes": axes}, **options)
    np.testing.assert_array_equal(read_pages(str(path), 10**4, single=True)[0].values, pixels)


def test_pages_without_headers_are_not_dropped(tmp_path):
    options = {"imagej": True, "metadata": {"axes": "ZYX"}}
    path = images.save_tiff(tmp_path / "a.tif", STAINS, photometric="minisblack", truncate=True, **options)
    other = images.save_tiff(tmp_path / "b.tif", STAINS, photometric="minisblack", truncate=True)
    for file in (path, other):
        with pytest.raises(InputError, match="[ab].tif has 3 pages, but headers of 1 only, as ImageJ"):
            image_size(str(file))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("place", ["before", "behind", "both"])
def test_previews_and_transparency_are_no_pages(place, dtype, tmp_path):
    image, preview = images.ramp(*SIZE, dtype=dtype), np.ones((4, 6), dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        if place != "behind":
            file.write(preview, subfiletype=1, metadata=None)
        file.write(image, subifds=1, metadata=None)
        file.write(preview, subfiletype=1, metadata=None)  # a level of a pyramid, off the chain of pages
        if place != "before":
            file.write(preview, subfiletype=1, metadata=None)
            file.write(images.marked() > 0, subfiletype=4, photometric="mask", metadata=None)
    (page,) = read_pages(str(tmp_path / "a.tif"), 10**4, single=True)
    np.testing.assert_array_equal(page.values, image)


def test_a_file_that_calls_all_its_pages_previews_is_read(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", images.marked(), subfiletype=1, metadata=None)
    assert read_pages(str(path), 10**4)[0].values.max() == 255


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("extra", [[0], [2], [1]], ids=["unspecified", "alpha", "premultiplied"])
def test_a_fourth_channel_that_is_no_alpha_is_not_dropped(extra, dtype, planar, tmp_path):
    pixels = np.dstack([images.ramp(*SIZE, 3, dtype=dtype), images.marked(dtype=dtype, value=9)])
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0).copy()
    options = {"photometric": "rgb", "planarconfig": planar, "extrasamples": extra, "metadata": None}
    path = images.save_tiff(tmp_path / "a.tif", stored, **options)
    if extra == [0]:
        with pytest.raises(InputError, match="a.tif has a channel more than its colors, which varies and is not"):
            read_pages(str(path), 10**4)
        pixels[..., 3] = stored[..., 3] = 255 if planar == "contig" else 0
        images.save_tiff(path, pixels if planar == "contig" else np.moveaxis(pixels, -1, 0).copy(), **options)
    elif extra == [2]:
        np.testing.assert_array_equal(read_pages(str(path), 10**4)[0].values, pixels)
    if extra != [1]:  # Pillow undoes premultiplied colors
        np.testing.assert_array_equal(read_pages(str(path), 10**4)[0].values[..., :3], pixels[..., :3])


@pytest.mark.filterwarnings("ignore:Metadata Warning:UserWarning")
def test_a_damaged_size_is_refused(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", images.marked(3, "uint16"), photometric="rgb")
    one, two = (struct.pack("<HHI", 256, 4, count) for count in (1, 2))  # widths in the tag
    assert one in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(one, two))
    with pytest.raises(InputError, match="a.tif cannot be read .it has no height and width"):
        image_size(str(path))
