# SPDX-License-Identifier: Apache-2.0

"""Measure how wide the objects of a mask are, as thin ones vanish when an image is made smaller."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from skimage.morphology import skeletonize

__all__ = ["median_width"]

_MOST_PIXELS = 2**20  # larger masks are measured on every second, third, ... row and column
_FINENESS = 8  # pixels across a wide object that its skeleton is computed with


def median_width(mask: NDArray[np.bool_]) -> float | None:
    """Return the median width of the objects of a mask along their skeletons.

    The width at a point of the skeleton is twice its distance to the edge. A skeleton of pixels cannot lie between two
    pixels, so the width of a thin object is right to half a pixel. That of a wide object is only about right, and that
    in a mask of more than 2^20 pixels to one of the pixels that are measured.

    Args:
        mask: (H, W) true for objects.

    Returns:
        The width in pixels; None if there is no object.
    """
    box: Any = find_objects(mask.astype(np.uint8))
    if not box:
        return None
    mask = mask[box[0]]
    step = math.ceil(math.sqrt(mask.size / _MOST_PIXELS))
    mask = np.pad(mask[::step, ::step], 1)  # beyond the box is background; beyond the image, too
    distances = distance_transform_edt(mask)
    if not mask.any():
        return float(step)  # objects that lie between the measured pixels
    coarse = max(1, int(4 * np.median(distances[mask]) / _FINENESS))
    part = (slice(None, None, coarse),) * 2
    skeleton = skeletonize(mask[part])
    if not skeleton.any():
        part, skeleton = (slice(None),) * 2, skeletonize(mask)
    return float(step * (2 * np.median(distances[part][skeleton]) - 0.5))
