# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

import images
from scripts.common.errors import InputError
from scripts.image_io.formats import format_of
from scripts.image_io.headers import open_image, page_count, pillow_header, tiff_header, upright_size

SIZE = (images.HEIGHT, images.WIDTH)


def image_size(path: str) -> tuple[int, int]:
    with format_of(path).open(path) as file:
        return file.size


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "tif", "TIFF", "bmp", "gif"])
def test_height_comes_first(suffix, tmp_path):
    assert image_size(str(images.save(tmp_path / f"a.{suffix}", images.marked()))) == SIZE


@pytest.mark.parametrize("name", ["two words.png", "a.b.c.png", "Überlappung 画像.png"])
def test_any_name(name, tmp_path):
    assert image_size(str(images.save(tmp_path / name, images.marked()))) == SIZE


def test_content_counts_not_the_suffix(tmp_path):
    images.save(tmp_path / "a.jpg", images.marked())
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    assert image_size(str(tmp_path / "a.png")) == SIZE


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 42])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_orientation_is_applied(suffix, orientation, tmp_path):
    pixels = images.stored_as(images.marked(), orientation)
    path = images.save(tmp_path / f"a.{suffix}", pixels, exif=images.exif(orientation))
    assert image_size(str(path)) == SIZE


def test_orientation_of_a_tiff_that_pillow_does_not_know(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", np.zeros(SIZE[::-1]), extratags=[(images.ORIENTATION, "H", 1, 6, True)])
    assert image_size(str(path)) == SIZE


def test_orientation_behind_the_pixels_of_a_png(tmp_path):
    path = images.save(tmp_path / "a.png", images.marked().T)
    images.add_behind_pixels(path, images.late_exif(6))
    assert image_size(str(path)) == SIZE


def test_a_header_does_not_warn_about_size(tmp_path):
    # Pillow's own limits are 89 and 179 megapixels.
    assert image_size(str(images.empty_png(tmp_path / "a.png", 20_000, 9_000))) == (9_000, 20_000)


def test_previews_of_a_camera_are_no_pages(tmp_path):
    first, second = (Image.fromarray(images.marked(3, value=value)) for value in (255, 0))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert image_size(str(tmp_path / "a.jpg")) == SIZE


@pytest.mark.parametrize("suffix, parse", [("tif", tiff_header), ("gif", pillow_header(GifImageFile))])
def test_pages_are_counted_and_opened(suffix, parse, tmp_path):
    pages = [Image.fromarray(images.marked(value=value)) for value in (100, 150, 200)]
    path = tmp_path / f"a.{suffix}"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with open_image(str(path), parse) as first:
        assert page_count(first) == 3
    with open_image(str(path), parse, 2) as third:
        assert np.asarray(third.convert("L")).max() == 200 and upright_size(third) == SIZE


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


def test_a_bmp_that_pillow_would_garble_is_refused(tmp_path):
    path = images.save_palette(tmp_path / "a.bmp", images.marked(value=1), [0, 0, 0, 255, 255, 255])
    with pytest.raises(InputError, match="a.bmp cannot be read .a BMP of 8 bits with a palette of few greys"):
        image_size(str(path))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif"])
def test_a_damaged_header_is_refused(suffix, tmp_path):
    path = images.save(tmp_path / f"a.{suffix}", images.marked(3))
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(InputError, match=rf"a\.{suffix} cannot be read \(.+\); get a new copy"):
        image_size(str(path))


@pytest.mark.filterwarnings("ignore:Metadata Warning:UserWarning")
def test_a_damaged_size_is_refused(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", images.marked(3, "uint16"), photometric="rgb")
    one, two = (struct.pack("<HHI", 256, 4, count) for count in (1, 2))  # widths in the tag
    assert one in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(one, two))
    with pytest.raises(InputError, match="a.tif cannot be read .it has no height and width"):
        image_size(str(path))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="none.png cannot be opened: No such file or directory"):
        image_size(str(tmp_path / "none.png"))
