# SPDX-License-Identifier: Apache-2.0

"""Limits that hold in all rooms: sizes the network takes, pixels of an image, classes of a mask."""

from __future__ import annotations

import math

__all__ = ["LABEL_FITS", "MAX_CLASSES", "MOST_PIXELS", "STRIDE", "divisible"]

#: Pixels of the image along one pixel of the encoder's coarsest features; sides must be divisible by it.
STRIDE = 32

#: Pixels of the largest image that is decoded, and of the largest size that the network works on.
MOST_PIXELS = 200_000_000

#: Classes of a mask, the background included: label ids are uint8.
MAX_CLASSES = 256

#: How labels are fitted: as the share of a pixel that a class has, or, as published, by the nearest pixel.
LABEL_FITS = ("shares", "nearest")


def divisible(side: float) -> int:
    """The smallest number of pixels from ``side`` up that the network can take."""
    return math.ceil(side / STRIDE) * STRIDE
