# SPDX-License-Identifier: Apache-2.0

"""Find images that are the same picture: encoded anew, resized, brightened, or the next frame of a video."""

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

#: positions of two images, and how alike they are, up to 1
Pair = tuple[int, int, float]

# Copies of images of DSB2018, ISIC 2016 and CHASE_DB1 (JPEG of quality 40, a quarter or 1.7 times the size, brightened)
# were 0.986 alike or more, other images up to 0.95, where all are fundus photographs in the same round frame.
_ALIKE = 0.98
# Without what all images have in common, copies were 0.988 alike, others up to 0.79.
_ALIKE_APART_FROM_MEAN = 0.9
_COARSE = 3  # standard deviation, in pixels of the thumbnail, of what counts as illumination and not as content
_ROWS = 512  # compared with all others at a time


def near_duplicates(facts: Sequence[Facts]) -> list[Pair]:
    """Pairs of images whose thumbnails are alike.

    Thumbnails (32 x 32, gray) are compared by the correlation of their details, as they are and less the mean of all
    images, so neither encoding, size, brightness nor contrast matters. Turned, mirrored or cropped copies are not
    found. Constant images are left out.

    Args:
        facts: of the images.

    Returns:
        ``(i, j, likeness)`` with ``i < j``, the most alike first; the likeness is the larger of both correlations, and
        1 for equal pixels.
    """
    if not facts:
        return []
    details = np.stack([_details(each) for each in facts])
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
    """Number the sets of images that pairs connect, directly or through others.

    Args:
        count: number of images.
        pairs: positions of two images each; what else a pair holds is left aside.

    Returns:
        (count,) the number of each image's set.
    """
    first, second = ([pair[end] for pair in pairs] for end in (0, 1))
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _details(facts: Facts) -> NDArray[np.float32]:
    """What is fine in a thumbnail, of length 1; zeros for a constant one."""
    values = np.frombuffer(base64.b64decode(facts.thumbnail), np.uint8).astype(np.float32)
    if values.size == 0:
        return np.zeros(THUMBNAIL**2, np.float32)
    thumbnail = values.reshape(THUMBNAIL, THUMBNAIL)
    return _unit((thumbnail - gaussian_filter(thumbnail, _COARSE)).reshape(1, -1))[0]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 1e-3, lengths, np.inf)).astype(np.float32)
