# SPDX-License-Identifier: Apache-2.0

"""NIfTI: columns first, in its place in the patient, and wrong files in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.nifti import load, open_nifti, turned_like, write_mask
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from specimens import marked, write
from volumes import AFFINE, read


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


def test_a_mask_lies_where_its_volume_does(tmp_path):
    path = write(tmp_path / "a.nii.gz", "gray 8", *(np.roll(marked("gray 8"), 5 * i, axis=1) for i in range(3)))
    ids = (np.moveaxis(read(path)[..., 0], 2, 0) > 0).astype(np.uint8)
    write_mask(ids, str(path), tmp_path / "mask.nii.gz")
    volume, mask = nib.load(path), nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, volume.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(volume.dataobj) > 0)
    assert mask.get_data_dtype() == np.uint8 and mask.header["pixdim"].tolist() == volume.header["pixdim"].tolist()


def test_a_mask_of_an_image_without_a_place_lies_at_the_origin(tmp_path):
    ids = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_mask(ids, None, tmp_path / "mask.nii.gz")
    mask = load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, np.diag([-1, -1, 1, 1]))
    assert mask.shape == (4, 3, 2)
    with open_nifti(str(tmp_path / "mask.nii.gz")) as file:
        assert (file.pages, file.size) == (2, (3, 4))
        np.testing.assert_array_equal([page.values for page in file.decode(24)], ids)


def test_a_mask_forgets_how_the_intensities_of_its_volume_were_scaled(tmp_path):
    volume = nib.Nifti1Image(np.zeros((4, 3, 2), np.int16), AFFINE)
    volume.header.set_slope_inter(0.5, 100)
    volume.header["cal_max"], volume.header["descrip"] = 400, b"of the scanner"
    nib.save(volume, tmp_path / "a.nii")
    assert (load(tmp_path / "a.nii").dataobj.slope, load(tmp_path / "a.nii").dataobj.inter) == (0.5, 100)
    ids = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_mask(ids, str(tmp_path / "a.nii"), tmp_path / "mask.nii", "made by us")
    mask = load(tmp_path / "mask.nii")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), ids.transpose(2, 1, 0))
    assert mask.header["cal_max"] == 0 and mask.header["descrip"] == b"made by us"


def test_colors_are_read_without_their_alpha(tmp_path):
    voxels = np.zeros((4, 3, 2), [(color, "u1") for color in "RGBA"])
    voxels["R"], voxels["G"], voxels["B"], voxels["A"] = 1, 2, 3, 99
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "a.nii")
    pixels = read(tmp_path / "a.nii")
    assert pixels.shape == (3, 4, 2, 3) and (pixels == (1, 2, 3)).all()


@pytest.mark.parametrize("offset, extension, message", [
    (2.0**25, 16, "its voxels begin at byte 33554432"),
    (400.0, 64, "an extension of 64 bytes at byte 352"),
    (400.0, 0, "an extension of 0 bytes at byte 352"),
])
def test_what_lies_before_the_voxels_is_checked(offset, extension, message, tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape((2, 2))
    header["magic"], header["vox_offset"] = b"n+1", offset
    start = header.structarr.tobytes() + b"\1\0\0\0" + np.array([extension, 4], "<i4").tobytes()
    (tmp_path / "a.nii").write_bytes(start + bytes(1000))
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "a.nii")
    with pytest.raises(InputError, match=f"a.nii cannot be read as NIfTI .*{message}"):
        read(tmp_path / "a.nii")


def volume_of(path: Path, *shape: int, dtype: Any = np.uint8) -> Path:
    nib.save(nib.Nifti1Image(np.zeros(shape, dtype), AFFINE), path / "a.nii")
    return path / "a.nii"


@pytest.mark.parametrize("make, message", [
    (lambda path: volume_of(path, 3, 3, 2, 5), r"a.nii has the shape \(3, 3, 2, 5\); give a 2D or 3D file"),
    (lambda path: volume_of(path, 2000, 1000), "a.nii has 2000 x 1000 pixels, more than max_pixels=1000000; crop"),
    (lambda path: volume_of(path, 3, 3, dtype=np.complex64), "a.nii has voxels of complex64; save it with one gray"),
])
def test_wrong_files(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(make(tmp_path), max_pixels=10**6)


@pytest.mark.parametrize("name, content", [("a.nii.gz", b"\x1f\x8bshort"), ("a.nii", b"")])
def test_files_that_end_after_their_first_bytes(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} cannot be read as NIfTI"):
        read(tmp_path / name)


def test_a_negative_number_of_slices_is_refused(tmp_path):
    path = volume_of(tmp_path, 3, 3, 2)
    header = bytearray(path.read_bytes())
    header[46:48] = (-32765).to_bytes(2, "little", signed=True)  # dim[3]
    path.write_bytes(header)
    with pytest.raises(InputError, match=r"a.nii .*-32765"):
        read(path)


def stored_in(path: Path, voxels: np.ndarray, affine: np.ndarray, directions: str) -> Path:
    """Store a slice anew in other directions: in the world, it stays where it was."""
    image = nib.Nifti1Image(voxels, affine)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(directions)
    )
    nib.save(image.as_reoriented(turn), path)
    return path


@pytest.mark.parametrize("directions", ["LAS", "RAS", "LPS", "RPI", "ARS", "PLI", "ALS"])
@pytest.mark.parametrize("affine", [AFFINE, np.eye(4)], ids=["in a patient", "at the origin"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_mask_in_other_directions_is_turned_like_its_image(suffix, affine, directions, tmp_path):
    pixels = images.marked(value=1)
    nib.save(nib.Nifti1Image(pixels.T[..., None] * 90, affine), tmp_path / "a.nii.gz")
    mask = stored_in(tmp_path / f"m{suffix}", pixels.T[..., None], affine, directions)
    reader = MaskFileReader(2)
    reader.lay_on([{"image": str(tmp_path / "a.nii.gz"), "label": str(mask)}])
    np.testing.assert_array_equal(reader.get_data([str(mask)])[0], pixels)
    parts = [{"image": str(tmp_path / "a.nii.gz"), "label": [str(mask)]}]
    reader.lay_on(parts)
    np.testing.assert_array_equal(reader.read_parts([str(mask)]), pixels)


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-1, -1, 1, 1.0])])
def test_a_mask_without_a_place_lies_on_its_image_as_it_is_stored(affine, tmp_path):
    """Many programs write the voxels only."""
    nib.save(nib.Nifti1Image(images.marked().T[..., None], AFFINE @ np.diag([1, -1, 1, 1])), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image(images.marked().T[..., None], affine), tmp_path / "m.nii")
    values = images.ramp(images.HEIGHT, images.WIDTH)
    assert turned_like(values, str(tmp_path / "m.nii"), str(tmp_path / "a.nii")) is values


def test_the_same_directions_at_another_place_are_no_matter(tmp_path):
    nib.save(nib.Nifti1Image(images.marked().T[..., None], AFFINE), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image(images.marked().T[..., None], AFFINE @ np.diag([2, 2, -1, 1])), tmp_path / "m.nii")
    values = images.ramp(images.HEIGHT, images.WIDTH)
    assert turned_like(values, str(tmp_path / "m.nii"), str(tmp_path / "a.nii")) is values


def test_a_mask_in_other_directions_and_elsewhere_is_refused(tmp_path):
    other = AFFINE.copy()
    other[:3, 0] *= -1
    nib.save(nib.Nifti1Image(images.marked().T[..., None], AFFINE), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image(images.marked().T[..., None], other), tmp_path / "m.nii")
    message = "m.nii is stored in the directions RAS and its image .*a.nii in LAS, and the mask does not lie on"
    with pytest.raises(InputError, match=message):
        turned_like(images.marked(), str(tmp_path / "m.nii"), str(tmp_path / "a.nii"))
