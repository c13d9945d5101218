# SPDX-License-Identifier: Apache-2.0

"""Read the slices of NIfTI files as images, and write masks at the same position in space as the volume."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ...common.errors import InputError
from .pixels import OpenedFile, Pixels

__all__ = ["load", "open_nifti", "turned_like", "write_mask"]

_COLORS = ("R", "G", "B")
_LONGEST_HEADER = 540  # bytes, the header of NIfTI-2
_SAME_PLACE = 0.25  # voxels; two grids of the same voxels differ by less than this, from rounding
_MAX_OFFSET = 1 << 24  # bytes; limit for the header and its extensions, which lie before the voxels
_UNREADABLE = (OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)


@contextmanager
def open_nifti(path: str) -> Iterator[OpenedFile]:
    """Read the header of a NIfTI file. Its pages are the slices along the third axis.

    The first axis of the file, "i", becomes x (the columns of a slice), and the second axis, "j", becomes y (the rows),
    as in other programs.

    Args:
        path: path of the file, 2D or 3D, grey or RGB.

    Yields:
        The opened file.

    Raises:
        InputError: if the file cannot be read, or if it has more than three axes.
    """
    with _refused(path):
        image = load(path)
        shape = _three_axes(image.shape)
        kind = image.get_data_dtype()
    if shape is None or min(shape) < 1:
        raise InputError(f"{path} has the shape {image.shape}; give a 2D or 3D file, such as one time of a 4D one")
    if kind.names is None and kind.kind not in "uif":
        raise InputError(f"{path} has voxels of {kind}; save it with one gray value or RGB a voxel")
    columns, rows, slices = shape

    def decode(max_pixels: int) -> list[Pixels]:
        with _refused(path):
            voxels = np.asanyarray(image.dataobj)
            if path.lower().endswith(".gz"):
                _check_whole(path)
        if voxels.dtype.names is not None and voxels.dtype.names[:3] == _COLORS:
            voxels = np.stack([voxels[color] for color in _COLORS], axis=-1)
        elif voxels.dtype.names is None:
            voxels = voxels[..., None]
        else:
            raise InputError(f"{path} has voxels of {voxels.dtype}; save it with one gray value or RGB a voxel")
        values = voxels.reshape(*shape, -1).transpose(2, 1, 0, 3)
        return [Pixels(page) for page in (values if values.shape[-1] == 3 else values[..., 0])]

    yield OpenedFile(slices, (rows, columns), decode)


@contextmanager
def _refused(path: str) -> Iterator[None]:
    """Turn an error of nibabel into an InputError that names the file."""
    try:
        yield
    except (*_UNREADABLE, HeaderDataError, ImageFileError) as error:
        raise InputError(f"{path} cannot be read as NIfTI ({error}); get a new copy") from error


def load(path: str | os.PathLike[str]) -> Any:
    """Open a NIfTI file with nibabel. The voxels are not read yet.

    Args:
        path: path of the file.

    Returns:
        nibabel's image.

    Raises:
        OSError, ValueError and other errors of nibabel: if the file is not NIfTI, or if the extensions between the
            header and the voxels are damaged or huge. nibabel would read extensions of any size.
    """
    opener: Any = gzip.open if str(path).lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        start = file.read(_LONGEST_HEADER)
        kinds = [kind for kind in (nib.Nifti1Image, nib.Nifti2Image) if kind.header_class.may_contain_header(start)]
        if not kinds:
            raise ValueError("it has no header of NIfTI")
        size = kinds[0].header_class.sizeof_hdr
        _check_extensions(file, kinds[0].header_class(start[:size], check=False), size)
    return kinds[0].from_filename(path)


def _check_whole(path: str) -> None:
    """Read a gzip file to its end, where its checksum is. nibabel stops at the last voxel, and does not check it."""
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def _check_extensions(file: IO[bytes], header: Any, place: int) -> None:
    """Refuse extensions of the header that are damaged or huge. ``place`` is the byte after the header."""
    end, order = int(header["vox_offset"]), "<" if header.endianness == "<" else ">"
    if end > _MAX_OFFSET:
        raise ValueError(f"its voxels begin at byte {end}")
    file.seek(place)
    status = file.read(4)
    place += 4
    while status[:1] not in (b"", b"\0") and place + 16 <= end:
        head = file.read(8)
        length = struct.unpack(order + "i", head[:4])[0] if len(head) == 8 else 0
        if not 8 <= length <= end - place:
            raise ValueError(f"its header has an extension of {length} bytes at byte {place}")
        place += length
        file.seek(place)


def _three_axes(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape with exactly three axes, or None if it has fewer than two or really more than three axes."""
    if len(shape) < 2 or any(length != 1 for length in shape[3:]):
        return None
    return (*shape, 1)[:3]


def turned_like(values: NDArray[Any], mask: str, image: str) -> NDArray[Any]:
    """Turn the pixels of a mask so that they lie on those of its image.

    Programs store the same slice from left to right or from right to left, and the header says which. A mask that
    another program saved anew can so be mirrored against its image.

    Args:
        values: (H, W) or (H, W, C), the only slice of the mask.
        mask: path of the mask, a NIfTI file.
        image: path of the image, a NIfTI file.

    Returns:
        The pixels, mirrored and with rows and columns exchanged as is needed. They are as they were if both files have
        the same directions, or if one of them has no place in space: no codes, or an affine of ones and zeros only.

    Raises:
        InputError: if the directions differ, and the mask does not lie on the voxels of the image.
    """
    volumes = []
    for path in (mask, image):
        with _refused(path):
            volumes.append(load(path))
    (affine, shape), (of_image, image_shape) = ((file.affine, _three_axes(file.shape)) for file in volumes)
    if shape is None or image_shape is None or not np.linalg.det(affine[:3, :3]) or not np.linalg.det(of_image[:3, :3]):
        return values
    turn = ornt_transform(io_orientation(affine), io_orientation(of_image))
    if (turn[:2] == [[0, 1], [1, 1]]).all():  # the third axis has a single slice
        return values
    voxels = values.swapaxes(0, 1)[:, :, None]  # (columns, rows, 1, ...)
    turned = apply_orientation(voxels, turn)
    offset = np.linalg.inv(of_image) @ affine @ inv_ornt_aff(turn, shape) - np.eye(4)
    corners = np.array([[0, 0, 0, 1], [*(np.array(image_shape) - 1), 1]]).T
    if turned.shape[:3] == image_shape and np.abs(offset @ corners).max() < _SAME_PLACE:
        return np.ascontiguousarray(turned[:, :, 0].swapaxes(0, 1))
    if not all(_has_place(volume) for volume in volumes):
        return values
    directions = ["".join(nib.aff2axcodes(each)) for each in (affine, of_image)]
    raise InputError(
        f"{mask} is stored in the directions {directions[0]} and its image {image} in {directions[1]}, and the mask "
        "does not lie on the voxels of the image; save the mask anew on the grid of the image"
    )


def _has_place(volume: Any) -> bool:
    """Return whether a volume states where it lies, rather than having the affine that programs fill in."""
    has_code = volume.header["qform_code"] > 0 or volume.header["sform_code"] > 0
    return bool(has_code) and not np.array_equal(np.abs(volume.affine), np.eye(4))


def write_mask(ids: NDArray[np.uint8], source: str | None, path: str | os.PathLike[str], text: str = "") -> None:
    """Write the label ids of a volume, with the affine and the header of the volume.

    Args:
        ids: (D, H, W) uint8 label ids.
        source: path of the volume's file; None for an image of another format, which has no position in space.
        path: path of the mask, ending in ``.nii`` or ``.nii.gz``.
        text: text for the field ``descrip`` of the header, at most 79 letters.
    """
    voxels = ids.transpose(2, 1, 0)
    if source is None:
        nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, -1, 1, 1])), path)
        return
    volume = load(source)
    header = volume.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"], header["descrip"] = 0, 0, text.encode()
    nib.save(type(volume)(voxels.reshape(volume.shape), volume.affine, header), path)
