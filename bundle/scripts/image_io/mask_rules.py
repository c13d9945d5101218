# SPDX-License-Identifier: Apache-2.0

"""The rules by which the stored pixels of a mask become label ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import InputError
from .color_classes import Color, alike, area_colors, codes_of, describe_colors, nearest_colors, smeared_colors
from .formats.pixels import Pixels
from .mask_display import BLACK, as_stored, check_not_reversed, check_palette, distances_to, without_alpha
from .mask_values import FEW_VALUES, MAX_BETWEEN, check_numbers, histogram, listed, more_classes, why_not_two_classes

__all__ = ["label_ids", "smeared_share"]


def label_ids(
    pixels: Pixels,
    num_classes: int,
    path: str,
    colors: Sequence[Sequence[int]] | None = None,
    *,
    background: Sequence[int] | None = None,
    instances: bool = False,
) -> NDArray[np.uint8]:
    """Turn the pixels of a mask file into label ids; 0 is the background.

    Two classes, background and object:

    - If the only values are 0 and 1, they are the ids, in any file type.
    - Other values are compared with a threshold: a pixel of half of full scale or more is object. Full scale is 255, or
      65535 if a file of more than 8 bits has values above 255. This rule reads masks of 0 and 255, soft edges and JPEG.
    - For RGB, the largest channel of a pixel is its value, so a bright color is object. With ``background``, the value
      is the largest difference to this color in a channel.
    - For palette images, the indices are the values if they are all 0 or 1. Else the colors are read like RGB.
    - Some masks are refused, as they are no masks of two classes: a largest value of at least 2 but below half of full
      scale; a smallest value from 1/8 to half of full scale; more than 5 % of the pixels between 1/4 and 3/4 of full
      scale; values that look like ids, which are 0, 1 and full scale, or all values from 0 to a largest value below
      full scale; values between the smallest and the largest that fill areas, which a soft edge does not (see
      :py:func:`.plateaus.plateau_values`); and more than one color, apart from the background, that fills areas. JPEG
      is not searched for ids or for several colors, as it has no exact values.
    - Where it is in doubt what is the background, masks are refused if no ``background`` is given: a palette that
      shows index 0 bright and index 1 dark, or gray values in reverse; and a file of more than one bit that stores
      white as zero. ImageJ writes these two kinds for an inverting lookup table.

    Two classes, with ``instances``: every value above 0 is object, in files without lossy compression. For palette
    images, the value is the index. For colors, every color but the background is object.

    More classes:

    - Grey values or palette indices are the ids, 0 to ``num_classes - 1``. The colors of a palette do not matter,
      unless they show an index above 0 black, and index 0 not. Such a mask is refused. If a file stores white as zero,
      the ids are the values as they are stored.
    - RGB is read if its channels are equal.
    - Other values, unequal channels, and JPEG, whose compression smears ids, are refused.

    Classes by color, with ``colors``:

    - A pixel belongs to the class of the nearest color, or to the background if its color is nearer. This reads JPEG,
      too.
    - With two classes, every color is object.
    - A mask is refused if more than 5 % of its pixels differ from the nearest color by more than a quarter of full
      scale in a channel.

    An alpha channel counts if it varies: pixels that are less than half as opaque as the most opaque one are
    background, whatever their color is. A mask that is drawn in the alpha channel only is refused, and so is one that
    is all background where it is opaque.

    Args:
        pixels: the stored pixels of the mask.
        num_classes: number of classes, 2 to 256. The background counts as a class.
        path: path of the file, for messages.
        colors: (r, g, b) in 0..255 of the classes 1, 2, ...; None for masks of grey values or ids.
        background: (r, g, b) in 0..255 of the background, for two classes and for ``colors``; None for black.
        instances: whether the masks of two classes hold ids of single objects, or of several kinds of objects.

    Returns:
        (H, W) uint8 ids in 0..num_classes-1.

    Raises:
        InputError: if the values break the rules. The message names the file, the values and the cure.
    """
    opaque, hidden = without_alpha(pixels, path)
    back: Color | None = None if background is None else (background[0], background[1], background[2])
    if colors is not None:
        ids = _by_color(opaque, hidden, colors, back or BLACK, path)
        ids = np.minimum(ids, 1) if num_classes == 2 else ids
    elif num_classes > 2:
        ids = _many_classes(opaque, hidden, num_classes, path)
    elif instances:
        ids = _instances(opaque, hidden, back, path)
    else:
        ids = _two_classes(opaque, hidden, back, path)
    if hidden.any() and not ids.any():
        raise InputError(
            f"{path} shows nothing but background where it is opaque; flatten it onto a color that no object has, and "
            "save background as 0 and object as 255"
        )
    return ids


def _two_classes(
    pixels: Pixels, hidden: NDArray[np.bool_], background: Color | None, path: str
) -> NDArray[np.uint8]:
    values, palette = pixels.values, pixels.palette
    if background is None:
        check_not_reversed(pixels, path)
        if palette is not None and values[~hidden].max(initial=0) <= 1:
            return np.where(hidden, 0, values).astype(np.uint8)
    if palette is not None:
        values = palette[values]
    distances = distances_to(values, pixels.full_scale, background or BLACK, path)
    distances[hidden] = 0
    counts = histogram(distances, path)
    largest = len(counts) - 1
    if largest <= 1:
        return distances.astype(np.uint8)
    if palette is None and largest == pixels.full_scale < 255 and not counts[1:-1].any():
        return (distances > 0).astype(np.uint8)  # black and white in a file of 2 or 4 bits
    full_scale = 255 if largest <= 255 else 65535
    problem = why_not_two_classes(distances, counts, full_scale, pixels.lossy)
    if values.ndim == 3 and values.dtype == np.uint8 and (values != values[..., :1]).any():
        codes = codes_of(np.where(hidden[..., None], np.array(background or BLACK, np.uint8), values))
        if _is_drawn_in_colors(codes, distances, background, pixels.lossy, dark=problem is not None):
            colors = describe_colors(codes, 2, background, pixels.lossy)
            all_of_them = "" if pixels.lossy else ", or set --instance_labels true if all others are objects"
            raise InputError(f"{path} is drawn in colors that must be named: it has the {colors}{all_of_them}")
    if problem:
        raise InputError(f"{path} {problem}")
    return (distances > full_scale // 2).astype(np.uint8)


def _is_drawn_in_colors(
    codes: NDArray[np.int32], distances: NDArray[Any], background: Color | None, lossy: bool, *, dark: bool
) -> bool:
    """Return whether a mask of two classes must be read by the names of its colors.

    That is so if more than one color apart from the background fills areas, or a single one that is too ``dark`` for
    the rule of two classes. Compression makes many colors of one. But if it leaves several and no black, there is an
    object on another background.
    """
    if lossy:
        no_black = (distances > 127).mean() > 1 - MAX_BETWEEN / 5
        return bool(no_black) and len(smeared_colors(codes)) > 1
    return sum(not alike(color, background or BLACK) for color in area_colors(codes)) > (0 if dark else 1)


def _instances(
    pixels: Pixels, hidden: NDArray[np.bool_], background: Color | None, path: str
) -> NDArray[np.uint8]:
    _check_not_lossy(pixels, "the ids of objects", path)
    values = pixels.values
    if background is None:
        check_palette(pixels, path)
        values = as_stored(pixels)
    elif pixels.palette is not None:
        values = pixels.palette[values]
    check_numbers(values, path)
    is_object = (distances_to(values, pixels.full_scale, background or BLACK, path) > 0) & ~hidden
    if background is None and values.ndim == 3 and values.dtype == np.uint8 and is_object.all():
        colors = describe_colors(codes_of(values), 2, None, lossy=False)
        raise InputError(f"{path} has no black pixel, so its background is in doubt: it has the {colors}")
    return is_object.astype(np.uint8)


def _many_classes(
    pixels: Pixels, hidden: NDArray[np.bool_], num_classes: int, path: str
) -> NDArray[np.uint8]:
    values = as_stored(pixels)
    is_color = values.ndim == 3 and (values != values[..., :1]).any()
    if is_color and values.dtype == np.uint8 and (not pixels.lossy or _is_colorful(values)):
        found = describe_colors(codes_of(values), num_classes, None, pixels.lossy)
        raise InputError(
            f"{path} is a color mask; save one grey value per class, 0 to {num_classes - 1}, as 8-bit grey or palette "
            f"PNG, or read its colors: it has the {found}"
        )
    _check_not_lossy(pixels, f"the ids of {num_classes} classes", path)
    check_palette(pixels, path)
    if is_color:
        raise InputError(f"{path} is a color mask deeper than 8 bits; save one grey value per class as 8-bit PNG")
    values = np.where(hidden, 0, values[..., 0] if values.ndim == 3 else values)
    counts = histogram(values, path)
    largest = len(counts) - 1
    if largest >= num_classes:
        raise InputError(
            f"{path} has labels out of range for {num_classes} classes: {listed(counts, num_classes)}; "
            f"{more_classes(largest)}save it with the ids 0 to {num_classes - 1}"
        )
    return values.astype(np.uint8)


def _check_not_lossy(pixels: Pixels, ids: str, path: str) -> None:
    if pixels.lossy:
        raise InputError(
            f"{path} is compressed as JPEG or in a similar way, which smears {ids}; save the mask anew as PNG, from "
            "before it was compressed so"
        )


def _is_colorful(values: NDArray[np.uint8]) -> bool:
    """Return whether RGB differs from grey in more pixels, and by more, than by compression."""
    return bool((values.max(-1) - values.min(-1) > 255 // 8).mean() > MAX_BETWEEN / 5)


def _by_color(
    pixels: Pixels, hidden: NDArray[np.bool_], colors: Sequence[Sequence[int]], background: Color, path: str
) -> NDArray[np.uint8]:
    values = pixels.values
    if pixels.palette is not None:
        values = pixels.palette[values]
    if values.dtype != np.uint8:
        raise InputError(f"{path} is deeper than 8 bits; save a mask of colors as 8-bit RGB")
    if pixels.full_scale < 255:
        values = values * np.uint8(255 // pixels.full_scale)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=-1)
    if hidden.any():
        values = np.where(hidden[..., None], np.array(background, np.uint8), values)
    ids, off = nearest_colors(values, [background, *((color[0], color[1], color[2]) for color in colors)])
    if off.mean() > MAX_BETWEEN:
        red, green, blue = values[off][0]
        raise InputError(
            f"{path} has colors that are none of label_colors in {off.mean():.0%} of its pixels, such as "
            f"[{red}, {green}, {blue}]; add the color to --label_colors, or set --background_color "
            f'"[{red}, {green}, {blue}]" if it is the background, or mend the mask'
        )
    return ids


def smeared_share(
    pixels: Pixels,
    num_classes: int,
    colors: Sequence[Sequence[int]] | None = None,
    *,
    background: Sequence[int] | None = None,
    instances: bool = False,
) -> float:
    """Return the share of a mask's pixels whose stored values are neither background nor object.

    Such pixels come from soft edges or from JPEG compression.

    Args:
        pixels: the stored pixels of the mask.
        num_classes, colors, background, instances: as for ``label_ids``.

    Returns:
        The share, in [0, 1]: the pixels whose values are neither 0 nor the largest value, or whose colors are neither
        the background's nor one of ``colors``. It is 0 for a mask with few different values if there are more than two
        classes, as the values are ids then, and for ids of objects.
    """
    values = pixels.values
    if colors is not None and values.ndim == 3:
        codes = codes_of(values)
        named = codes_of(np.array([[background or BLACK, *colors]], dtype=np.uint8))
        return float(1 - np.isin(codes, named).mean())
    if pixels.palette is not None or values.dtype != np.uint8 or instances:
        return 0.0
    counts = np.bincount((values if values.ndim == 2 else values[..., 0]).ravel())[1:-1]
    pixel_count = values.shape[0] * values.shape[1]
    few = FEW_VALUES if num_classes > 2 else 0
    return float(counts.sum() / pixel_count) if np.count_nonzero(counts) > few else 0.0
