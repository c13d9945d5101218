# SPDX-License-Identifier: Apache-2.0

"""Files of several pages, of all kinds: the right pixels in the right place; and what no format may hold."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.registry import FORMATS, format_of
from scripts.image_io.readers import ImageFileReader
from specimens import by_pillow, marked, promises, write
from volumes import AFFINE, read

KINDS = dict(promises())
OF_SEVERAL = [
    (suffix, kind) for row in FORMATS if row.may_have_pages for suffix in row.suffixes for kind in KINDS[row.name]
]


def moved(pixels: np.ndarray) -> list[np.ndarray]:
    """Three pages, each with its mark in another place."""
    return [np.roll(pixels, 5 * i, axis=1) for i in range(3)]


@pytest.mark.parametrize("suffix, kind", OF_SEVERAL)
def test_pages_in_their_order(suffix, kind, tmp_path):
    check_pages(write(tmp_path / f"a{suffix}", kind, *moved(marked(kind))))


@pytest.mark.parametrize("kind", ["gray 8", "RGB 8"])
def test_pages_of_a_tiff_that_pillow_writes(kind, tmp_path):
    by_pillow(tmp_path / "a.tif", kind, moved(marked(kind)))
    check_pages(tmp_path / "a.tif")


def check_pages(path: Path) -> None:
    pixels = read(path)
    assert pixels.shape == (images.HEIGHT, images.WIDTH, 3, 3)
    np.testing.assert_array_equal(np.moveaxis(pixels, 2, 0), moved(images.marked(3)))
    with format_of(path).open(str(path)) as file:
        assert file.pages == 3 and file.size == (images.HEIGHT, images.WIDTH)
    with pytest.raises(InputError, match="has 3 pages, frames or slices; save each one as an image of its own"):
        ImageFileReader().get_data([str(path)])


def nan_volume(path: Path) -> Path:
    nib.save(nib.Nifti1Image(np.full((3, 4, 2), np.nan, np.float32), AFFINE), path / "a.nii")
    return path / "a.nii"


def huge_floats(path: Path) -> Path:
    tifffile.imwrite(path / "a.tif", np.array([[-1e200, 1e200]] * 2))
    return path / "a.tif"


def with_a_depth(path: Path, dtype: str) -> Path:
    tifffile.imwrite(path / "a.tif", np.zeros((4, 16, 16), dtype), volumetric=True, photometric="minisblack")
    return path / "a.tif"


def pages_of_two_sizes(path: Path) -> Path:
    first, second = (Image.new("L", size) for size in ((8, 8), (4, 4)))
    first.save(path / "a.tif", save_all=True, append_images=[second])
    return path / "a.tif"


@pytest.mark.parametrize("make, message", [
    (nan_volume, "a.nii has 24 values that are NaN or infinite; replace them"),
    (huge_floats, r"a.tif has values up to 1e\+200, more than float32 holds; divide them"),
    (lambda path: with_a_depth(path, "uint8"), r"a.tif has a page of 4 slices \(ImageDepth\); save each slice as"),
    (lambda path: with_a_depth(path, "float64"), r"a.tif has a page of 4 slices \(ImageDepth\); save each slice as"),
    (pages_of_two_sizes, "a.tif has pages of 4 x 4 and 8 x 8 pixels; save each one as an image of its own"),
])
def test_wrong_files(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(make(tmp_path))
