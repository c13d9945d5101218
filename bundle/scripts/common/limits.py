# SPDX-License-Identifier: Apache-2.0

"""Limits that hold in all rooms: sizes that the network accepts, pixels of an image, classes of a mask."""

from __future__ import annotations

import math

__all__ = [
    "INTENSITIES",
    "LABEL_FITS",
    "MAX_CLASSES",
    "MOST_FITTED_PIXELS",
    "MOST_OVERLAP",
    "MOST_PIXELS",
    "STRIDE",
    "divisible",
]

#: Side in pixels of the square of the image that one pixel of the encoder's coarsest feature map stands for. The height
#: and the width of an image must be divisible by it.
STRIDE = 32

#: Number of pixels of the largest image that is decoded.
MOST_PIXELS = 200_000_000

#: Number of pixels of the largest size that images are fitted to, or of the largest window. At 4096 x 4096, a step of a
#: training takes some 60 GB, and an image half a minute on one core.
MOST_FITTED_PIXELS = 4096 * 4096

#: Largest share by which windows overlap. Each pixel is then in 400 windows.
MOST_OVERLAP = 0.95

#: Largest number of classes of a mask, with the background. It follows from label ids, which are uint8.
MAX_CLASSES = 256

#: How the intensities of an image are scaled. With "percentiles", values beyond the 0.5th and the 99.5th percentile are
#: cut off first, so that a few pixels cannot take the contrast of all others. With "min_max", as published, the range
#: goes from the smallest to the largest value.
INTENSITIES = ("percentiles", "min_max")

#: How labels are fitted. With "shares", a pixel holds the share of it that each class covers. With "nearest", it holds
#: the class of the nearest pixel, as published.
LABEL_FITS = ("shares", "nearest")


def divisible(side: float) -> int:
    """Round a side up to the next length that the network accepts.

    Args:
        side: length in pixels.

    Returns:
        The smallest multiple of :py:data:`STRIDE` that is not below ``side``, in pixels.
    """
    return math.ceil(side / STRIDE) * STRIDE
