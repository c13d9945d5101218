# SPDX-License-Identifier: Apache-2.0

"""Read the pages of an image file of any supported format. Frames and slices count as pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..common.errors import InputError
from .formats.pixels import Pixels, check_size
from .formats.registry import Format, format_of

__all__ = ["read_pages"]

_LARGEST = float(np.finfo(np.float32).max) / 2  # the difference of two such values is still a finite float32


def read_pages(path: str, max_pixels: int, *, single: bool = False, known: Format | None = None) -> list[Pixels]:
    """Decode all pages of a file, after its header has shown that they are not too many and not too large.

    Args:
        path: path of the file.
        max_pixels: largest product of height, width and number of pages. It guards against small files that would fill
            the memory.
        single: whether to refuse files with more than one page.
        known: the format of the file, if the caller has already found it out.

    Returns:
        The pages, all of the same size.

    Raises:
        InputError: if the file cannot be read or is too large, if its pages are too many or differ in size, or if a
            pixel is NaN or infinite.
    """
    format_ = known or format_of(path)
    with format_.open(path) as file:
        if file.pages == 0:
            raise InputError(f"{path} holds no image; remove it")
        check_size(path, file.size, file.pages, max_pixels)
        if file.pages > 1 and (single or not format_.may_have_pages):  # such as an animated PNG
            raise InputError(f"{path} has {file.pages} pages, frames or slices; save each one as an image of its own")
        pages = [page._replace(lossy=page.lossy or format_.is_lossy) for page in file.decode(max_pixels)]
    _check_finite(pages, path)
    _check_equal_sizes([page.values.shape[:2] for page in pages], path)
    return pages


def _check_finite(pages: Sequence[Pixels], path: str) -> None:
    floats = [page.values for page in pages if page.values.dtype.kind == "f"]
    wrong = sum(values.size - int(np.count_nonzero(np.isfinite(values))) for values in floats)
    if wrong:
        raise InputError(f"{path} has {wrong} values that are NaN or infinite; replace them by numbers")
    largest = max((float(max(values.max(), -values.min())) for values in floats), default=0.0)
    if largest > _LARGEST:
        raise InputError(f"{path} has values up to {largest:g}, more than float32 holds; divide them")


def _check_equal_sizes(sizes: Sequence[tuple[int, ...]], path: str) -> None:
    if len(set(sizes)) > 1:
        named = " and ".join(f"{width} x {height}" for height, width in sorted(set(sizes))[:2])
        raise InputError(f"{path} has pages of {named} pixels; save each one as an image of its own")
