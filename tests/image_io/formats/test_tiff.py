# SPDX-License-Identifier: Apache-2.0

"""Headers of TIFF files, also of those that Pillow does not know or would change."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import TiffPage

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.headers import open_image, page_count
from scripts.image_io.formats.registry import format_of
from scripts.image_io.formats.tiff import is_exact, tiff_header, tile_size

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


@pytest.mark.filterwarnings("ignore:Metadata Warning:UserWarning")
def test_a_damaged_size_is_refused(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", images.marked(3, "uint16"), photometric="rgb")
    one, two = (struct.pack("<HHI", 256, 4, count) for count in (1, 2))  # widths in the tag
    assert one in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(one, two))
    with pytest.raises(InputError, match="a.tif cannot be read .it has no height and width"):
        image_size(str(path))
