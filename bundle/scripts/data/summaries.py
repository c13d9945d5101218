# SPDX-License-Identifier: Apache-2.0

"""Summarize the facts of all images: sizes, intensities, and the objects of every class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .survey import Facts

__all__ = ["class_summary", "num_classes", "summarize", "zoom"]


def summarize(usable: Sequence[Facts], out_channels: int, spatial_size: tuple[int, int] | None) -> dict[str, Any]:
    """Summarize all images and masks.

    Args:
        usable: facts of at least one image, all without a problem.
        out_channels: number of classes. The background counts as a class.
        spatial_size: (H, W) in pixels to which images will be fitted; None if images keep their size.

    Returns:
        ``sizes`` and ``intensities``: smallest and largest value, and quartiles. ``classes``: a
        :py:func:`class_summary` of every class but the background.
    """
    return {
        "sizes": {
            side: _quartiles([image.size[axis] for image in usable]) for axis, side in enumerate(("height", "width"))
        },
        "intensities": {
            name: _quartiles([getattr(image, name) for image in usable]) for name in ("low", "high", "mean", "spread")
        },
        "classes": [class_summary(usable, label, spatial_size) for label in range(1, out_channels)],
    }


def class_summary(usable: Sequence[Facts], label: int, spatial_size: tuple[int, int] | None) -> dict[str, Any]:
    """Summarize a class over all masks.

    Args:
        usable: facts of at least one image, all without a problem.
        label: label id of the class.
        spatial_size: as for :py:func:`summarize`.

    Returns:
        ``id``; ``images``, the number of masks with the class; ``share`` of all pixels; ``objects``, their number;
        ``vanishing``, the number of objects that are smaller than a pixel of the fitted image; and ``width``, the
        median over the masks of the median widths of their objects, in pixels of the fitted image. The width is None
        if no mask has the class.
    """
    objects = vanishing = 0
    for image in usable:
        counts = image.objects[label - 1]
        # fitting makes one pixel of 2^exponent pixels
        exponent = max(0, math.ceil(-2 * math.log2(min(zoom(image, spatial_size), 1))))
        objects += sum(counts)
        vanishing += sum(counts[:exponent])
    widths = [(image.widths[label - 1], zoom(image, spatial_size)) for image in usable]
    fitted = [width * scale for width, scale in widths if width is not None]
    return {
        "id": label,
        "images": sum(image.pixels[label] > 0 for image in usable),
        "share": sum(image.pixels[label] for image in usable) / sum(sum(image.pixels) for image in usable),
        "objects": objects,
        "vanishing": vanishing,
        "width": round(float(np.median(fitted)), 2) if fitted else None,
    }


def zoom(image: Facts, spatial_size: Sequence[int] | None) -> float:
    """Return the factor by which fitting scales an image.

    Args:
        image: facts of the image.
        spatial_size: (H, W) in pixels; None if images keep their size.
    """
    return 1.0 if spatial_size is None else min(target / side for target, side in zip(spatial_size, image.size))


def num_classes(usable: Sequence[Facts]) -> int:
    """Return the number of classes that the masks show, with the background, and at least 2.

    Args:
        usable: facts of at least one image, all without a problem.
    """
    return max(2, 1 + max(label for image in usable for label, count in enumerate(image.pixels) if count))


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    quartiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return dict(zip(("min", "lower", "median", "upper", "max"), quartiles))
