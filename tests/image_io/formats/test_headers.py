# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.SgiImagePlugin import SgiImageFile

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.headers import open_image, page_count, pillow_header, upright_size
from scripts.image_io.formats.pixels import open_raster
from scripts.image_io.formats.registry import format_of
from scripts.image_io.formats.tiff import tiff_header

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


@pytest.mark.parametrize("kind, largest, depth", [("P5", 255, 1), ("P5", 65535, 2), ("P6", 255, 1)])
def test_values_that_pillow_copies_are_kept(kind, largest, depth, tmp_path):
    channels = () if kind == "P5" else (3,)
    pixels = images.ramp(2, 3, *channels, dtype=f">u{depth}", step=largest // 7)
    (tmp_path / "a.pnm").write_bytes(f"{kind} 3 2 {largest}\n".encode() + pixels.tobytes())
    with open_raster(str(tmp_path / "a.pnm"), pillow_header(PpmImageFile)) as file:
        (page,) = file.decode(6)
    np.testing.assert_array_equal(page.values, pixels)


@pytest.mark.parametrize("kind, largest", [("P5", 3), ("P5", 254), ("P5", 4095), ("P6", 65535), ("P2", 9)])
def test_values_that_pillow_would_stretch_are_refused(kind, largest, tmp_path):
    (tmp_path / "a.pgm").write_bytes(f"{kind} 3 2 {largest}\n".encode() + b"\1" * 36)
    with pytest.raises(InputError, match="a.pgm cannot be read .Pillow may change its values, which are stored as ppm"):
        with open_image(str(tmp_path / "a.pgm"), pillow_header(PpmImageFile)):
            pass


def test_values_that_pillow_would_cut_to_8_bits_are_refused(tmp_path):
    Image.new("L", (3, 2), 7).save(tmp_path / "a.sgi", bpc=2)
    with pytest.raises(InputError, match="a.sgi cannot be read .Pillow may change its values, which are stored as SGI"):
        with open_image(str(tmp_path / "a.sgi"), pillow_header(SgiImageFile)):
            pass


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


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="none.png cannot be opened: No such file or directory"):
        image_size(str(tmp_path / "none.png"))
