# SPDX-License-Identifier: Apache-2.0

"""Suggest settings that suit a dataset, by the facts of its images and masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ..common.limits import divisible
from .summaries import num_classes
from .survey import Facts

__all__ = ["FOR_SMALL", "are_small", "suggest"]

#: These settings improved scores of nuclei in DSB2018. They did not improve those of skin lesions, which are not small.
FOR_SMALL = {"norm": "group", "detail": True, "refine": True}

_SIDES = (128, 512)  # smallest and largest suggested size in pixels
_TALL = 0.9  # share of the images that fit into the suggested size without more padding than a square has
_SMALL = 32  # pixels; an object is small if its area is less than that of a square of this side
_STEPS = 8  # smallest number of steps that an epoch should have


def suggest(usable: Sequence[Facts]) -> dict[str, Any]:
    """Suggest a size, a batch size and a number of classes.

    Args:
        usable: facts of at least one image, all without a problem.

    Returns:
        The values of the knobs ``spatial_size``, ``batch_size`` and ``out_channels``.
    """
    sizes = np.array([image.size for image in usable])
    longest = float(np.median(sizes.max(1)))
    side = min(max(divisible(longest), _SIDES[0]), _SIDES[1])
    # height and width that hold most of the images, after every image is fitted to a square of this side
    fitted = np.quantile(sizes * (side / sizes.max(1, keepdims=True)), _TALL, axis=0)
    height, width = (min(side, divisible(float(value))) for value in fitted)
    batch = 2 ** int(math.log2(max(2, min(32, len(usable) / _STEPS))))
    return {"spatial_size": [height, width], "batch_size": batch, "out_channels": num_classes(usable)}


def are_small(usable: Sequence[Facts], spatial_size: Sequence[int] | None) -> bool:
    """Return whether objects are small in at least half of the images that have objects.

    Args:
        usable: facts of the images, all without a problem.
        spatial_size: (H, W) in pixels to which images are fitted before; None if they keep their size.
    """
    zooms = [1.0 if spatial_size is None else max(spatial_size) / max(image.size) for image in usable]
    areas = [_typical_area(image) * zoom**2 for image, zoom in zip(usable, zooms) if sum(image.pixels[1:])]
    return bool(areas) and float(np.median(areas)) < _SMALL**2


def _typical_area(facts: Facts) -> float:
    """Return the typical area of an image's objects in pixels.

    Half of the foreground belongs to objects of at most about this area, so tiny specks hardly change it.
    """
    counts = np.array([*zip_longest(*facts.objects, fillvalue=0)]).sum(1)  # n-th: objects of 2^n to 2^(n+1) - 1 pixels
    areas = 1.5 * 2.0 ** np.arange(len(counts))
    covered = np.cumsum(counts * areas)
    return float(areas[np.searchsorted(covered, covered[-1] / 2)])
