# SPDX-License-Identifier: Apache-2.0

"""Image files of any supported format as pages: one, or the slices, frames and pages that a file holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import InputError
from . import dicom, nifti
from .headers import Source, open_image, page_count, tile_size, turned_to, upright_size
from .pixels import Pixels, check_size, decode

__all__ = ["SUFFIXES", "count_pages", "has_image_suffix", "read_pages", "stem"]

#: ends of the names of supported files, in lower case
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom", ".nii", ".nii.gz")

_TWOFOLD = ".nii.gz"
_LARGEST = float(np.finfo(np.float32).max) / 2  # so that differences are finite, too


def has_image_suffix(name: str | os.PathLike[str]) -> bool:
    """Whether a file's name ends as that of a supported format, in any case."""
    return Path(name).name.lower().endswith(SUFFIXES)


def stem(name: str | os.PathLike[str]) -> str:
    """A file's name without the suffix of its format, which can be ``.nii.gz``."""
    file = Path(name)
    return file.name[: -len(_TWOFOLD)] if file.name.lower().endswith(_TWOFOLD) else file.stem


def count_pages(path: str) -> int:
    """Number of pages or frames of a file other than NIfTI, from its header.

    Raises:
        InputError: if the header cannot be read.
    """
    check_is_file(path)
    if _is_dicom(path):
        return dicom.frame_count(path)
    with open_image(path) as source:
        return page_count(source)


def read_pages(path: str, max_pixels: int, *, single: bool = False) -> list[Pixels]:
    """Decode all pages of a file, whatever its suffix (but of NIfTI, which is known by it).

    Args:
        path: the file.
        max_pixels: the largest height x width, times the pages, to decode; guards against small files that would fill
            the memory.
        single: refuse files with more than one page.

    Returns:
        The pages, all of one size.

    Raises:
        InputError: if the file cannot be read, is too large, has pages of different sizes or too many, or pixels that
            are NaN or infinite.
    """
    check_is_file(path)
    if nifti.is_nifti(path) or _is_dicom(path):
        slices = (nifti.read_slices if nifti.is_nifti(path) else dicom.read_frames)(path, max_pixels)
        _check_single(path, len(slices), single)
        _check_finite(slices, path)
        return [Pixels(each) for each in slices]
    with open_image(path) as source:
        pages = page_count(source)
        _check_single(path, pages, single or getattr(source, "format", "") == "PNG")  # an animation
        check_size(path, upright_size(source), pages, max_pixels)
        found = [_decode(path, source, max_pixels)]
        for page in range(1, pages):
            turned = turned_to(source, page)
            found.append(_decode_page(path, page, max_pixels) if turned is None else _decode(path, turned, max_pixels))
    for each in found:
        _check_finite(each.values, path)
    _check_equal_sizes([each.values.shape[:2] for each in found], path)
    return found


def _decode_page(path: str, page: int, max_pixels: int) -> Pixels:
    with open_image(path, page) as source:
        return _decode(path, source, max_pixels)


def _decode(path: str, source: Source, max_pixels: int) -> Pixels:
    size = upright_size(source)  # to be asked before decoding
    check_size(path, size, 1, max_pixels)
    rows, columns = tile_size(source)
    if rows * columns > max_pixels:
        raise InputError(
            f"{path} is stored in tiles of {columns} x {rows} pixels, more than max_pixels={max_pixels}; save it anew, "
            "without tiles"
        )
    pixels = decode(source)
    if pixels.values.shape[:2] != size:
        height, width = size
        raise InputError(f"{path} has other pixels than the {width} x {height} of its header; get a new copy")
    return pixels


def _check_single(path: str, pages: int, single: bool) -> None:
    if single and pages > 1:
        raise InputError(f"{path} has {pages} pages, frames or slices; save each one as an image of its own")


def check_is_file(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe, a socket or a device, which may never end.

    Raises:
        InputError: if there is one.
    """
    try:
        kind = os.stat(path).st_mode
    except (OSError, ValueError):  # whoever opens it will say so
        return
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise InputError(f"{path} is a pipe, a socket or a device; give a file")


def _is_dicom(path: str) -> bool:
    try:
        return dicom.is_dicom(path)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error


def _check_finite(values: NDArray[Any], path: str) -> None:
    if values.dtype.kind == "f":
        wrong = values.size - np.count_nonzero(np.isfinite(values))
        if wrong:
            raise InputError(f"{path} has {wrong} values that are NaN or infinite; replace them by numbers")
        largest = float(max(values.max(), -values.min()))
        if largest > _LARGEST:
            raise InputError(f"{path} has values up to {largest:g}, more than float32 holds; divide them")


def _check_equal_sizes(sizes: Sequence[tuple[int, ...]], path: str) -> None:
    if len(set(sizes)) > 1:
        named = " and ".join(f"{width} x {height}" for height, width in sorted(set(sizes))[:2])
        raise InputError(f"{path} has pages of {named} pixels; save each one as an image of its own")
