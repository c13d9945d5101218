# SPDX-License-Identifier: Apache-2.0

"""What a mask file shows: transparent pixels, palettes, tables that invert the values, and its background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import InputError
from .color_classes import Color, codes_of, describe_colors
from .formats.pixels import Pixels
from .mask_values import check_numbers

__all__ = ["BLACK", "as_stored", "check_not_reversed", "check_palette", "distances_to", "without_alpha"]

# Shapes of stored values: (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB, (H, W, 4) RGB and alpha.

BLACK: Color = (0, 0, 0)
_IN_DOUBT = (
    "so object and background are in doubt; save it as grey, 0 for background and 255 for object, or name the "
    'background as viewers show it, by --background_color "[255, 255, 255]" for white or "[0, 0, 0]" for black'
)


def without_alpha(pixels: Pixels, path: str) -> tuple[Pixels, NDArray[np.bool_]]:
    """Drop the alpha channel.

    Args:
        pixels: the stored pixels of the mask.
        path: path of the file, for the message.

    Returns:
        The pixels without alpha; and (H, W) whether the alpha channel hides a pixel, which is so for pixels that are
        less than half as opaque as the most opaque one.

    Raises:
        InputError: if all pixels have the same color, and the alpha channel varies.
    """
    values, palette = pixels.values, pixels.palette
    if palette is not None:
        alpha = palette[values, 3] if palette.shape[1] == 4 else None
        opaque, colors = pixels._replace(palette=palette[:, :3]), values
    elif values.ndim == 3 and values.shape[-1] != 3:
        alpha = values[..., -1]
        colors = values[..., :-1] if values.shape[-1] == 4 else values[..., 0]
        opaque = pixels._replace(values=colors)
    else:
        alpha, opaque, colors = None, pixels, values
    if alpha is None or (alpha == alpha[0, 0]).all():
        return opaque, np.zeros(values.shape[:2], dtype=bool)
    if (colors == colors[0, 0]).all():
        raise InputError(f"{path} is drawn in the alpha channel alone; flatten it onto black, or save it as grey")
    return opaque, alpha < alpha.max() / 2


def distances_to(values: NDArray[Any], full_scale: int, background: Color, path: str) -> NDArray[Any]:
    """Return how far the pixels are from the background, which is their largest difference to it in a channel.

    Args:
        values: (H, W) grey or (H, W, 3) RGB.
        full_scale: largest value that the file can store, as in :py:class:`.formats.pixels.Pixels`.
        background: color of the background.
        path: path of the file, for messages.

    Returns:
        A new (H, W) array. For a black background it has the grey values, or the largest channel.
    """
    if background == BLACK:
        if values.ndim == 2:
            return values.copy()
        return np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])
    check_numbers(values, path)
    scale = full_scale if full_scale < 255 else 255 if values.max() <= 255 else 65535
    channels = np.moveaxis(values, -1, 0) if values.ndim == 3 else (values,) * 3
    gaps = [np.abs(channel.astype(np.int64) - part * scale // 255) for channel, part in zip(channels, background)]
    return np.maximum(np.maximum(gaps[0], gaps[1]), gaps[2])


def as_stored(pixels: Pixels) -> NDArray[Any]:
    """Return the values as the file stores them, also if it stores white as zero, in the shape of the values."""
    if not pixels.inverted:
        return pixels.values
    return (pixels.full_scale if pixels.full_scale < 255 else np.iinfo(pixels.values.dtype).max) - pixels.values


def check_not_reversed(pixels: Pixels, path: str) -> None:
    """Refuse a mask of two classes that viewers show with the background bright and the object dark.

    Programs do not agree which of both is the object then: for ImageJ, it is the larger value.

    Args:
        pixels: the stored pixels of the mask.
        path: path of the file, for the message.
    """
    if pixels.inverted:
        raise InputError(f"{path} stores white as zero, as by an inverting lookup table of ImageJ, {_IN_DOUBT}")
    if pixels.palette is None:
        return
    palette, largest = pixels.palette, int(pixels.values.max())
    if largest <= 1:
        if palette[0].max() >= 128 > palette[1].max() or (palette[0].any() and not palette[1].any()):
            raise InputError(f"{path} has a palette that shows index 0 bright and index 1 dark, {_IN_DOUBT}")
    elif _is_reversed(palette, largest):
        raise InputError(f"{path} has a palette that shows its values in reverse, as of ImageJ, {_IN_DOUBT}")


def check_palette(pixels: Pixels, path: str) -> None:
    """Refuse a mask of ids whose palette shows an index above 0 black, and index 0 not.

    Args:
        pixels: the stored pixels of the mask.
        path: path of the file, for the message.
    """
    palette = pixels.palette
    if palette is None or not palette[0].any() or _is_reversed(palette, int(pixels.values.max())):
        return
    black = [int(index) for index in np.unique(pixels.values) if not palette[index].any()]
    if black:
        colors = describe_colors(codes_of(palette[pixels.values]), 0, None, lossy=False)
        raise InputError(
            f"{path} has a palette that shows index {black[0]} black, but index 0 as {palette[0].tolist()}, so the "
            f"background is in doubt; save it with 0 for the background, or read its colors: it has the {colors}"
        )


def _is_reversed(palette: NDArray[np.uint8], largest: int) -> bool:
    """Return whether a palette shows the values up to ``largest`` as greys from bright to dark."""
    used = palette[: largest + 1].astype(np.intp)
    return bool((used == used[:, :1]).all() and (np.diff(used[:, 0]) <= 0).all() and used[0, 0] > used[-1, 0])
