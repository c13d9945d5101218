# SPDX-License-Identifier: Apache-2.0

"""Files of several pages, DICOM and NIfTI: the right pixels in the right place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.uid import RLELossless

import images
from scripts.common.errors import InputError
from scripts.image_io.formats import format_of
from scripts.image_io.nifti import write_mask
from scripts.image_io.pages import read_pages
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from volumes import AFFINE, save_dicom

LIMIT = 10**6


def read(path: Path, **options: Any) -> np.ndarray:
    return ImageFileReader(volumes=True, **options).get_data([str(path)])[0]


# one page


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_gray_dicom(dtype, tmp_path):
    pixels = images.marked(dtype=dtype, value=100)
    found = read(save_dicom(tmp_path / "a.dcm", pixels))
    assert found.shape == (*pixels.shape, 3)
    np.testing.assert_array_equal(found[..., 0] > 0, pixels > 0)
    assert (found.dtype == np.uint8) == (dtype == "uint8")


def test_dicom_that_shows_zero_as_white(tmp_path):
    found = read(save_dicom(tmp_path / "a.dcm", images.marked(value=90), kind="MONOCHROME1"))
    np.testing.assert_array_equal(found[..., 0] == 0, images.marked() > 0)


def test_dicom_in_rgb_and_without_a_suffix(tmp_path):
    pixels = images.marked(3)
    pixels[-1, -1] = (7, 8, 9)
    np.testing.assert_array_equal(read(save_dicom(tmp_path / "IM0001", pixels, kind="RGB")), pixels)


def test_dicom_is_rescaled(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", images.marked(value=10), RescaleSlope=-2, RescaleIntercept=50)
    (page,) = read_pages(str(path), LIMIT)
    assert sorted(np.unique(page.values)) == [30, 50]


def test_compressed_dicom(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", images.marked())
    data = pydicom.dcmread(path)
    data.compress(RLELossless)
    data.save_as(path)
    np.testing.assert_array_equal(read(path)[..., 0], images.marked())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("shape", [(24, 16), (24, 16, 1), (24, 16, 1, 1)])
def test_flat_nifti_has_columns_first(dtype, shape, tmp_path):
    voxels = images.marked(dtype=dtype, value=100).T.reshape(shape)
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "a.nii")
    found = read(tmp_path / "a.nii")  # (H, W, D, C)
    np.testing.assert_array_equal(found[:, :, 0, 0] > 0, images.marked() > 0)
    assert found.shape == (images.HEIGHT, images.WIDTH, 1, 3)
    flat = ImageFileReader().get_data([str(tmp_path / "a.nii")])[0]
    np.testing.assert_array_equal(flat, found[:, :, 0])


def test_masks_as_nifti(tmp_path):
    nib.save(nib.Nifti1Image(images.marked(value=2).T[..., None], AFFINE), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(MaskFileReader(3).get_data([str(tmp_path / "a.nii.gz")])[0], images.marked(value=2))


# several pages


def pages_of(kind: str, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A file and its pages (D, H, W, C), each with its mark in another place."""
    base = images.marked(3) if kind.endswith("RGB") else images.marked()
    pages = np.stack([np.roll(base, 5 * i, axis=1) for i in range(3)])
    path = tmp_path / f"a.{kind.split()[0]}"
    if kind.startswith("dcm"):
        save_dicom(path, pages, "RGB" if kind.endswith("RGB") else "MONOCHROME2", frames=3)
    elif kind.startswith("nii"):
        voxels = pages.swapaxes(0, 2)  # (W, H, D) or (W, H, D, 3)
        if kind.endswith("RGB"):
            voxels = np.ascontiguousarray(voxels).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
        nib.save(nib.Nifti1Image(voxels, AFFINE), path)
    elif kind.startswith("tif 16"):
        images.save_tiff(path, pages.astype(np.uint16) * 200, photometric="minisblack")
    else:
        first, *others = (Image.fromarray(page) for page in pages)
        first.save(path, save_all=True, append_images=others)
    return path, pages if pages.ndim == 4 else np.stack([pages] * 3, axis=-1)


KINDS = ["tif", "tif RGB", "tif 16", "gif", "dcm", "dcm RGB", "nii", "nii.gz", "nii RGB"]


@pytest.mark.parametrize("kind", KINDS)
def test_pages_in_their_order(kind, tmp_path):
    path, pages = pages_of(kind, tmp_path)
    found = read(path)
    assert found.shape == (images.HEIGHT, images.WIDTH, 3, 3)
    np.testing.assert_array_equal(np.moveaxis(found, 2, 0), pages)
    with format_of(path).open(str(path)) as file:
        assert file.pages == 3 and file.size == (images.HEIGHT, images.WIDTH)
    with pytest.raises(InputError, match="has 3 pages, frames or slices; save each one as an image of its own"):
        ImageFileReader().get_data([str(path)])


def test_a_mask_lies_where_its_volume_does(tmp_path):
    path, _ = pages_of("nii.gz", tmp_path)
    ids = (np.moveaxis(read(path)[..., 0], 2, 0) > 0).astype(np.uint8)
    write_mask(ids, str(path), tmp_path / "mask.nii.gz")
    volume, mask = nib.load(path), nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, volume.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(volume.dataobj) > 0)
    assert mask.get_data_dtype() == np.uint8 and mask.header["pixdim"].tolist() == volume.header["pixdim"].tolist()


# what is refused


def nan_volume(path: Path) -> Path:
    nib.save(nib.Nifti1Image(np.full((3, 4, 2), np.nan, np.float32), AFFINE), path / "a.nii")
    return path / "a.nii"


def volume_of(path: Path, *shape: int, dtype: Any = np.uint8) -> Path:
    nib.save(nib.Nifti1Image(np.zeros(shape, dtype), AFFINE), path / "a.nii")
    return path / "a.nii"


def damaged(path: Path, name: str, content: bytes) -> Path:
    (path / name).write_bytes(content)
    return path / name


def with_a_damaged_size(path: Path) -> Path:
    content = save_dicom(path / "a.dcm", images.marked()).read_bytes()
    rows = content.index(b"\x28\x00\x10\x00US")
    (path / "a.dcm").write_bytes(content[: rows + 4] + b"QQ" + content[rows + 6 :])
    return path / "a.dcm"


def with_a_damaged_slope(path: Path) -> Path:
    save_dicom(path / "a.dcm", images.marked(), RescaleSlope="1", RescaleIntercept="12")
    content = (path / "a.dcm").read_bytes()
    (path / "a.dcm").write_bytes(content.replace(b"DS\x02\x0012", b"DS\x02\x00x0"))
    return path / "a.dcm"


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
    (lambda path: volume_of(path, 3, 3, 2, 5), r"a.nii has the shape \(3, 3, 2, 5\); give a 2D or 3D file"),
    (lambda path: volume_of(path, 2000, 1000), "a.nii has 2000 x 1000 pixels, more than max_pixels=1000000; crop"),
    (lambda path: volume_of(path, 3, 3, dtype=np.complex64), "a.nii has voxels of complex64; save it with one gray"),
    (lambda path: damaged(path, "a.nii.gz", b"\x1f\x8bshort"), "a.nii.gz cannot be read as NIfTI"),
    (lambda path: damaged(path, "a.nii", b""), "a.nii cannot be read as NIfTI"),
    (lambda path: damaged(path, "a.dcm", b"\0" * 128 + b"DICM"), "a.dcm holds no image; remove it"),
    (lambda path: damaged(path, "a.dcm", b"\0" * 128 + b"DICM\x02\x00"), "a.dcm cannot be read|holds no image"),
    (with_a_damaged_size, "a.dcm has no readable size|a.dcm cannot be read as DICOM"),
    (with_a_damaged_slope, "a.dcm cannot be decoded .* it is stored as Explicit VR Little Endian: convert it"),
    (huge_floats, r"a.tif has values up to 1e\+200, more than float32 holds; divide them"),
    (lambda path: with_a_depth(path, "uint8"), r"a.tif has a page of 4 slices \(ImageDepth\); save each slice as"),
    (lambda path: with_a_depth(path, "float64"), r"a.tif has a page of 4 slices \(ImageDepth\); save each slice as"),
    (pages_of_two_sizes, "a.tif has pages of 4 x 4 and 8 x 8 pixels; save each one as an image of its own"),
    (lambda path: save_dicom(path / "a.dcm", np.zeros((1001, 1000), np.uint8)), "a.dcm has 1000 x 1001 pixels, m"),
    (
        lambda path: save_dicom(path / "a.dcm", images.marked(), PixelData=b"\0" * 10),
        "a.dcm cannot be decoded .* it is stored as Explicit VR Little Endian: convert it",
    ),
])
def test_wrong_files(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(make(tmp_path), max_pixels=LIMIT)
