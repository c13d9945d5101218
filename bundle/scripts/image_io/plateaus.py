# SPDX-License-Identifier: Apache-2.0

"""Tell the classes or the single objects of a mask from its soft edges, by where their values lie in the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["LEAST_INNER", "inner_pixels", "plateau_values"]

#: pixels that a value must fill, not counting its outline; a speck is no class
LEAST_INNER = 9
_LEAST_STEADY = 16  # pixels of thin or tiny objects
_NEARLY_ALL = 0.95
# Compression leaves values close to background and object in whole areas. A mask with more values than this between
# the two is taken for such a mask, and its values that are closer to them than a tenth of their difference are edges.
_FEW_VALUES = 16
_NEAR = 10


def inner_pixels(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels have the same value as their eight neighbors.

    Args:
        values: (H, W) numbers. Beyond the edges of the picture they go on as they are at the edges.

    Returns:
        (H, W) bool.
    """
    padded = np.pad(values, 1, mode="edge")
    beside = padded[:, 1:] == padded[:, :-1]
    rows = beside[:, 1:] & beside[:, :-1]  # (H + 2, W), three equal pixels in a row
    below = padded[1:, 1:-1] == padded[:-1, 1:-1]  # (H + 1, W)
    return rows[:-2] & rows[1:-1] & rows[2:] & below[:-1] & below[1:]


def plateau_values(values: NDArray[Any]) -> list[int]:
    """Return the values of a mask between its smallest and its largest that are no soft edges.

    A soft edge, as from antialiasing, blur or scaling, is a slope: its pixels lie between a darker and a brighter
    neighbor, and it is too narrow for one value to fill an area. The pixels of a class or of an object fill areas, with
    a jump at their outlines. So these values are no edges:

    - a value of which at least half of the pixels, and at least 9, are surrounded by the same value;
    - all values, if nearly all of their pixels (95 %, and at least 16) lack a darker or a brighter neighbor. This finds
      thin and tiny objects, which surround no pixel.

    On masks of lesions, nuclei and vessels that were scaled, blurred or compressed as JPEG in many ways, neither rule
    found a value.

    Args:
        values: (H, W) whole numbers of 0 or more, of a mask whose file is compressed without losses.

    Returns:
        The values, in ascending order.
    """
    counts = np.bincount(values.ravel())
    low, high = int(values.min()), len(counts) - 1
    between = np.flatnonzero(counts[low + 1 : high]) + low + 1
    if not len(between):
        return []
    near = (high - low) // _NEAR
    far = between[(between > low + near) & (between < high - near)]
    steady = (ndimage.minimum_filter(values, 3) == values) | (ndimage.maximum_filter(values, 3) == values)
    steady_counts = np.bincount(values[steady], minlength=high + 1)
    is_steady = counts[far].sum() >= _LEAST_STEADY and steady_counts[far].sum() >= _NEARLY_ALL * counts[far].sum()
    inner_counts = np.bincount(values[inner_pixels(values)], minlength=high + 1)
    candidates = between if len(between) <= _FEW_VALUES else far
    filling = candidates[inner_counts[candidates] >= np.maximum(LEAST_INNER, counts[candidates] / 2)]
    return sorted({*filling.tolist(), *(far.tolist() if is_steady else [])})
