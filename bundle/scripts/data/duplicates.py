# SPDX-License-Identifier: Apache-2.0

"""Find near-duplicates: images of the same picture that was encoded anew, resized or brightened, or video frames."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .survey import THUMBNAIL, Facts

__all__ = ["Pair", "clusters", "near_duplicates"]

#: positions of two images, and their likeness, at most 1
Pair = tuple[int, int, float]

# Smallest correlation of near-duplicates. For copies of images of DSB2018, ISIC 2016 and CHASE_DB1 (JPEG of quality 40,
# a quarter or 1.7 times the size, brightened) it was 0.986 or more. For other images it was 0.95 or less; the largest
# values came from fundus photographs, which all have the same round frame.
_ALIKE = 0.98
# The same, after the mean of all images is subtracted: 0.988 or more for copies, and 0.79 or less for other images.
_ALIKE_APART_FROM_MEAN = 0.9
_COARSE = 3  # standard deviation in pixels of the thumbnail; coarser structures count as illumination, not as content
_ROWS = 512  # images that are compared with all others at a time


def near_duplicates(facts: Sequence[Facts]) -> list[Pair]:
    """Find the pairs of images whose thumbnails are alike.

    The likeness of two images is the correlation of the details in their thumbnails (32 x 32 pixels, grey). It is
    computed twice: from the details as they are, and from the details without the mean of all images. So encoding,
    size, brightness and contrast do not matter. Turned, mirrored or cropped copies are not found. Constant images are
    left out.

    Args:
        facts: the facts of all images.

    Returns:
        Tuples ``(i, j, likeness)`` with positions ``i < j``, sorted from the most alike pair to the least alike one.
        The likeness is the larger of both correlations, or 1 for equal pixels.
    """
    if not facts:
        return []
    details = np.stack([_details(image) for image in facts])
    apart = _unit((details - details.mean(0)) * details.any(1, keepdims=True))
    pairs = []
    for start in range(0, len(details), _ROWS):
        likeness = details[start : start + _ROWS] @ details[start:].T
        likeness_apart = apart[start : start + _ROWS] @ apart[start:].T
        alike = (likeness >= _ALIKE) | (likeness_apart >= _ALIKE_APART_FROM_MEAN)
        for i, j in zip(*np.nonzero(np.triu(alike, k=1))):
            same = facts[start + i].digest == facts[start + j].digest
            larger = float(max(likeness[i, j], likeness_apart[i, j]))
            pairs.append((int(start + i), int(start + j), 1.0 if same else round(larger, 4)))
    return sorted(pairs, key=lambda pair: -pair[2])


def clusters(count: int, pairs: Sequence[tuple[Any, ...]]) -> NDArray[np.intp]:
    """Number the sets of images that pairs connect, directly or through other images.

    Args:
        count: number of images.
        pairs: tuples that start with the positions of two images. The rest of a tuple is not used.

    Returns:
        (count,) number of the set of every image.
    """
    first, second = ([pair[end] for pair in pairs] for end in (0, 1))
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _details(facts: Facts) -> NDArray[np.float32]:
    """Return the details of a thumbnail as a (1024,) vector of length 1, or zeros for a constant thumbnail."""
    values = np.frombuffer(base64.b64decode(facts.thumbnail), np.uint8).astype(np.float32)
    if values.size == 0:
        return np.zeros(THUMBNAIL**2, np.float32)
    thumbnail = values.reshape(THUMBNAIL, THUMBNAIL)
    return _unit((thumbnail - gaussian_filter(thumbnail, _COARSE)).reshape(1, -1))[0]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale every row to length 1. Rows of nearly 0 become 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 1e-3, lengths, np.inf)).astype(np.float32)
