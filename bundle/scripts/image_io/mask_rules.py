# SPDX-License-Identifier: Apache-2.0

"""The rules by which the stored pixels of a mask become label ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import InputError
from ..common.limits import MAX_CLASSES
from .formats.pixels import Pixels

__all__ = ["label_ids", "smeared_share"]

# Shapes of stored values: (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB, (H, W, 4) RGB and alpha.

# Soft edges and compression leave a smaller share of pixels than this between 1/4 and 3/4 of full scale.
MAX_BETWEEN = 0.05
# A mask with more different values than this between the smallest and the largest does not hold ids.
_FEW_VALUES = 16


def label_ids(
    pixels: Pixels, num_classes: int, path: str, colors: Sequence[Sequence[int]] | None = None
) -> NDArray[np.uint8]:
    """Turn the pixels of a mask file into label ids; 0 is the background.

    Two classes, background and object:

    - If the only values are 0 and 1, they are the ids, in any file type.
    - Other values are compared with a threshold: a pixel of half of full scale or more is object. Full scale is 255, or
      65535 if a file of more than 8 bits has values above 255. This rule reads masks of 0 and 255, soft edges and JPEG.
    - For RGB, the largest channel of a pixel is its value, so every bright color is object.
    - For palette images, the indices are the values if they are all 0 or 1. Else the colors are read like RGB.
    - Some masks are refused, as they are no masks of two classes: a largest value of at least 2 but below half of full
      scale; more than 5 % of the pixels between 1/4 and 3/4 of full scale; values that look like ids, which are 0, 1
      and full scale, or all values from 0 to a largest value below full scale; and a palette that shows index 0 bright
      and index 1 dark.

    More classes:

    - Grey values or palette indices are the ids, 0 to ``num_classes - 1``. The colors of a palette do not matter.
    - RGB is read if its channels are equal.
    - Other values, unequal channels, and JPEG, whose compression smears ids, are refused.

    Classes by color, with ``colors``:

    - A pixel belongs to the class of the nearest color, or to the background if black is nearer. This reads JPEG, too.
    - With two classes, every color is object.
    - A mask is refused if more than 5 % of its pixels differ from the nearest color by more than a quarter of full
      scale in a channel.

    The alpha channel is ignored. A mask that is drawn in the alpha channel only is refused.

    Args:
        pixels: the stored pixels of the mask.
        num_classes: number of classes, 2 to 256. The background counts as a class.
        path: path of the file, for messages.
        colors: (r, g, b) in 0..255 of the classes 1, 2, ...; None for masks of grey values or ids.

    Returns:
        (H, W) uint8 ids in 0..num_classes-1.

    Raises:
        InputError: if the values break the rules. The message names the file, the values and the cure.
    """
    if colors is not None:
        ids = _by_color(pixels, colors, path)
        return np.minimum(ids, 1) if num_classes == 2 else ids
    if num_classes == 2:
        return _two_classes(pixels, path)
    return _many_classes(pixels, num_classes, path)


def _two_classes(pixels: Pixels, path: str) -> NDArray[np.uint8]:
    values = _without_alpha(pixels.values, path)
    if pixels.palette is not None:
        if values.max() > 1:
            values = pixels.palette[values]
        elif pixels.palette[0].max() >= 128 > pixels.palette[1].max():
            raise InputError(
                f"{path} has a palette that shows index 0 bright and index 1 dark, so object and background are in "
                "doubt; save it as grey, 0 for background and 255 for object"
            )
    if values.ndim == 3:
        values = np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])
    counts = _histogram(values, path)
    largest = len(counts) - 1
    if largest <= 1:
        return values.astype(np.uint8)
    if pixels.palette is None and largest == pixels.full_scale < 255 and not counts[1:-1].any():
        return (values > 0).astype(np.uint8)  # black and white in a file of 2 or 4 bits
    full_scale = 255 if largest <= 255 else 65535
    if 2 * largest < full_scale:
        raise InputError(
            f"{path} has label {largest}, which is out of range for 2 classes (values found: {_listed(counts)}); "
            f"{'' if pixels.lossy else _more_classes(largest)}save background as 0 and every object as 255"
        )
    if not pixels.lossy:
        _check_not_ids(counts, full_scale, path)
    between = counts[full_scale // 4 + 1 : (3 * full_scale + 3) // 4].sum() / values.size
    if between > MAX_BETWEEN:
        raise InputError(
            f"{path} is no mask of two classes, as {between:.0%} of its pixels are neither dark nor bright (values "
            f"found: {_listed(counts)}); save background as 0 and object as 255, or set --out_channels for more classes"
        )
    return (values > full_scale // 2).astype(np.uint8)


def _many_classes(pixels: Pixels, num_classes: int, path: str) -> NDArray[np.uint8]:
    if pixels.lossy:
        raise InputError(
            f"{path} is compressed as JPEG or in a similar way, which smears the ids of {num_classes} classes; "
            "save the mask anew as PNG, from before it was compressed so"
        )
    values = _without_alpha(pixels.values, path)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise InputError(
                f"{path} is a color mask; save one grey value per class, 0 to {num_classes - 1}, as 8-bit grey or "
                "palette PNG"
            )
        values = values[..., 0]
    counts = _histogram(values, path)
    largest = len(counts) - 1
    if largest >= num_classes:
        raise InputError(
            f"{path} has labels out of range for {num_classes} classes: {_listed(counts, num_classes)}; "
            f"{_more_classes(largest)}save it with the ids 0 to {num_classes - 1}"
        )
    return values.astype(np.uint8)


def _by_color(pixels: Pixels, colors: Sequence[Sequence[int]], path: str) -> NDArray[np.uint8]:
    values = _without_alpha(pixels.values, path)
    if pixels.palette is not None:
        values = pixels.palette[values]
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=-1)
    if values.dtype != np.uint8:
        raise InputError(f"{path} is deeper than 8 bits; save a mask of colors as 8-bit RGB")
    class_colors = np.array([(0, 0, 0), *colors], dtype=np.int32)  # (K, 3)
    squares = [((values.astype(np.int32) - color) ** 2).sum(-1) for color in class_colors]
    ids = np.argmin(squares, axis=0).astype(np.uint8)
    off = np.abs(values - class_colors[ids]).max(-1) > 255 // 4
    if off.mean() > MAX_BETWEEN:
        red, green, blue = values[off][0]
        raise InputError(
            f"{path} has colors that are none of label_colors in {off.mean():.0%} of its pixels, such as "
            f"[{red}, {green}, {blue}]; add the color to --label_colors, or mend the mask"
        )
    return ids


def smeared_share(pixels: Pixels, num_classes: int, colors: Sequence[Sequence[int]] | None = None) -> float:
    """Return the share of a mask's pixels whose stored values are neither background nor object.

    Such pixels come from soft edges or from JPEG compression, or they are of a third class in a mask of two classes.

    Args:
        pixels: the stored pixels of the mask.
        num_classes, colors: as for ``label_ids``.

    Returns:
        The share, in [0, 1]: the pixels whose values are neither 0 nor the largest value, or whose colors are neither
        black nor one of ``colors``. It is 0 for a mask with few different values if there are more than two classes, as
        the values are ids then.
    """
    values = pixels.values
    if colors is not None and values.ndim == 3:
        has_color = [(values[..., :3] == color).all(-1) for color in [(0, 0, 0), *colors]]
        return float(1 - np.any(has_color, axis=0).mean())
    if pixels.palette is not None or values.dtype != np.uint8:
        return 0.0
    counts = np.bincount((values if values.ndim == 2 else values[..., 0]).ravel())[1:-1]
    pixel_count = values.shape[0] * values.shape[1]
    few = _FEW_VALUES if num_classes > 2 else 0
    return float(counts.sum() / pixel_count) if np.count_nonzero(counts) > few else 0.0


def _without_alpha(values: NDArray[Any], path: str) -> NDArray[Any]:
    """Drop the alpha channel: (H, W, 2) becomes (H, W), and (H, W, 4) becomes (H, W, 3)."""
    if values.ndim == 2 or values.shape[-1] == 3:
        return values
    colors, alpha = values[..., :-1], values[..., -1]
    if (colors == colors[0, 0]).all() and (alpha != alpha[0, 0]).any():
        raise InputError(f"{path} is drawn in the alpha channel alone; flatten it onto black, or save it as grey")
    return colors if values.shape[-1] == 4 else colors[..., 0]


def _histogram(values: NDArray[Any], path: str) -> NDArray[np.intp]:
    """Return the number of pixels of every value from 0 to the largest one."""
    smallest, largest = values.min(), values.max()
    if smallest < 0 or largest > 65535:
        raise InputError(f"{path} has values from {smallest} to {largest}; save label ids, or 0 and 255")
    if values.dtype.kind == "f" and (fractions := values[values % 1 != 0]).size:
        raise InputError(f"{path} has values such as {fractions[0]}; save whole numbers: label ids, or 0 and 255")
    return np.bincount(values.astype(np.intp).ravel())


def _check_not_ids(counts: NDArray[np.intp], full_scale: int, path: str) -> None:
    """Refuse ids of classes or of single objects: a threshold at half of full scale would divide them wrongly."""
    present = np.flatnonzero(counts)
    if len(counts) - 1 < full_scale:
        is_ids = len(present) == len(counts) and len(present) > 2
    else:
        below = present[:-1]  # these may be ids, with full scale for pixels to ignore
        few = 2 <= len(below) <= _FEW_VALUES and below[0] <= 1 and below[-1] - below[0] == len(below) - 1
        is_ids = few or present.tolist() == [1, full_scale]
    if is_ids:
        raise InputError(
            f"{path} holds ids rather than background and object (values found: {_listed(counts)}); "
            "save background as 0 and every object as 255"
        )


def _more_classes(largest: int) -> str:
    """Return the advice to set more classes, for a message."""
    # A largest value of 255 more likely means background and object, or a label to ignore, than 256 classes.
    return f"set --out_channels {largest + 1}, or " if largest < MAX_CLASSES - 1 else ""


def _listed(counts: NDArray[np.intp], start: int = 0, most: int = 5) -> str:
    """Return the first few of the values from ``start`` on that occur, for a message."""
    present = np.flatnonzero(counts[start:]) + start
    return ", ".join(map(str, present[:most])) + (f" and {len(present) - most} more" if len(present) > most else "")
