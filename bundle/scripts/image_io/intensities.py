# SPDX-License-Identifier: Apache-2.0

"""Scale the intensities of an image, so that a few pixels cannot take the contrast of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWER", "NARROW", "UPPER", "between_percentiles", "has_outliers", "middle", "stretched"]

#: the percentiles that the range of an image goes between
LOWER, UPPER = 0.5, 99.5

#: Share of an image's range. Outliers stretch the range if all but 1 % of the values lie in less than this share of it.
NARROW = 0.25

_BINS = {np.dtype(np.uint8): 1 << 8, np.dtype(np.uint16): 1 << 16}
_AT_A_TIME = 1 << 22  # values that are counted at a time, as counting takes 8 bytes for each


def between_percentiles(values: NDArray[Any]) -> NDArray[Any]:
    """Stretch the range between the 0.5th and the 99.5th percentile to [0, 255], and cut off the values beyond it.

    This is the formula of :py:class:`monai.transforms.ScaleIntensityRangePercentiles`, over all channels together, so
    that colors keep their hue. Hot pixels, burned-in scale bars and other outliers of up to 0.5 % of the pixels change
    nothing. Where both percentiles are equal, as in a black image with a few small objects, the range goes from the
    minimum to the maximum.

    Args:
        values: intensities of an image with any shape and numeric type. They are finite.

    Returns:
        Intensities of the same shape in [0, 255]: uint8 for uint8 values, else float32. A constant image becomes 0.
    """
    low, high = middle(values)
    if low == high:
        low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint8:
        return np.rint(stretched(np.arange(256), low, high)).astype(np.uint8)[values]
    return stretched(values, low, high)


def stretched(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Stretch a range of intensities to float32 in [0, 255], and cut off the values beyond it.

    Args:
        values: intensities of any shape and numeric type.
        low, high: ends of the range. If they are equal, everything becomes 0.
    """
    if low == high:
        return np.zeros(values.shape, dtype=np.float32)
    return ((values.astype(np.float64) - low) / (high - low) * 255).clip(0, 255).astype(np.float32)


def middle(values: NDArray[Any]) -> tuple[float, float]:
    """Return the 0.5th and the 99.5th percentile of the values, interpolated as :py:func:`numpy.percentile` does.

    Values of 8 and of 16 bits are counted, which takes a fraction of the time and of the memory.
    """
    bins = _BINS.get(values.dtype)
    if bins is None:
        low, high = np.percentile(values, (LOWER, UPPER))
        return float(low), float(high)
    flat, counts = values.reshape(-1), np.zeros(bins, dtype=np.int64)
    for start in range(0, flat.size, _AT_A_TIME):
        counts += np.bincount(flat[start : start + _AT_A_TIME], minlength=bins)
    ranks = np.array([LOWER, UPPER]) / 100 * (flat.size - 1)
    below, above = (np.searchsorted(counts.cumsum(), edge(ranks), side="right") for edge in (np.floor, np.ceil))
    low, high = below + (above - below) * (ranks % 1)
    return float(low), float(high)


def has_outliers(values: NDArray[Any]) -> bool:
    """Return whether a few pixels, at most 1 %, are far from all others, so that these have little contrast.

    Args:
        values: intensities of an image.
    """
    low, high = middle(values)
    return high - low < NARROW * (float(values.max()) - float(values.min()))
