# SPDX-License-Identifier: Apache-2.0

"""Turn stored pixels into intensities; a few outliers need not take the contrast of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .formats.pixels import Pixels

__all__ = [
    "LOWER",
    "NARROW",
    "UPPER",
    "between_percentiles",
    "has_outliers",
    "intensities_of",
    "middle",
    "stretched",
    "ycrcb",
]

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


def intensities_of(pixels: Pixels, channels: int, scaling: str) -> NDArray[Any]:
    """Return stored pixels as intensities.

    Args:
        pixels: pixels of a page, as its file stores them.
        channels: 3 for RGB, or 1 for grey. Colors become grey by their luma; grey is replicated.
        scaling: "min_max" or "percentiles", as :py:class:`.readers.ImageFileReader` explains.

    Returns:
        (H, W, channels) uint8 or float32 in [0, 255].
    """
    values = pixels.values * np.uint8(255 // pixels.full_scale) if pixels.full_scale < 255 else pixels.values
    if pixels.palette is not None:
        values = pixels.palette[values]
    if pixels.padding is not None and not pixels.padding.all():
        values = np.where(pixels.padding, values[~pixels.padding].min(), values)
    if values.ndim == 2:
        values = values[..., None]
    values = values[..., : 3 if values.shape[-1] >= 3 else 1]  # drops alpha
    if values.shape[-1] > channels:
        values = _luma(values)
    if scaling == "percentiles":
        values = between_percentiles(values)
    elif values.dtype != np.uint8:
        values = stretched(values, float(values.min()), float(values.max()))
    if values.shape[-1] < channels:
        values = np.concatenate([values] * channels, axis=-1)
    return values


def ycrcb(values: NDArray[Any]) -> NDArray[Any]:
    """Convert (H, W, 3) RGB in [0, 255] to luma, red difference and blue difference of the same type."""
    red, green, blue = np.moveaxis(values.astype(np.float32), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    converted = np.stack([luma, (red - luma) * 0.713 + 128, (blue - luma) * 0.564 + 128], axis=-1)
    return (np.rint(converted) if values.dtype == np.uint8 else converted).clip(0, 255).astype(values.dtype)


def _luma(values: NDArray[Any]) -> NDArray[Any]:
    """Return the ITU-R 601 luma of (H, W, 3) colors as (H, W, 1)."""
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(values).convert("L"))[..., None]
    return values @ np.array([[0.299], [0.587], [0.114]])
