# SPDX-License-Identifier: Apache-2.0

"""Classes by color: the nearest of a few colors for every pixel, and the colors that a mask is drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import InputError
from .plateaus import LEAST_INNER, inner_pixels

__all__ = [
    "Color",
    "alike",
    "area_colors",
    "check_colors",
    "codes_of",
    "describe_colors",
    "nearest_colors",
    "smeared_colors",
]

#: red, green and blue, each 0 to 255
Color = tuple[int, int, int]

# Largest difference in a channel between a pixel and its color: a quarter of full scale.
_FARTHEST = 255 // 4
_CELL = 8  # width of a cell of the table in levels of a channel
_CELLS = 256 // _CELL
_IN_DOUBT = 256  # entry of a cell whose colors do not all belong to the same class; larger than any class
_ALIKE = 32  # levels in a channel; closer colors are the same one, changed by compression
_COARSE = 64  # levels in a channel, for the colors of a compressed mask
_LEAST_SHARE = 0.01  # of the pixels, for the colors of a compressed mask
_FEW_COLORS = 256  # a mask that compression has changed before has more
_MOST = 6  # colors that a message lists with their shares


def check_colors(colors: Any, background: Any, num_classes: int) -> None:
    """Check the colors of classes and of the background, as a user names them.

    Args:
        colors: [red, green, blue] of the classes 1, 2, ..., or None for masks that are not drawn in colors.
        background: [red, green, blue] of the background, or None.
        num_classes: number of classes, with the background.

    Raises:
        InputError: if they are not such colors, if their number does not fit the classes, or if there is a color for
            the background of ids.
    """
    if colors is not None:
        if not isinstance(colors, Sequence) or not all(_is_color(color) for color in colors):
            raise InputError(
                f"label_colors is {colors!r}; give a list of [red, green, blue], each 0 to 255, one a class"
            )
        if num_classes not in (2, len(colors) + 1):
            raise InputError(
                f"label_colors names {len(colors)} colors for {num_classes} classes; set --out_channels "
                f"{len(colors) + 1}, or 2 to take all of them for one kind of object"
            )
    if background is not None and not _is_color(background):
        raise InputError(f"background_color is {background!r}; give [red, green, blue], each 0 to 255")
    if background is not None and colors is None and num_classes > 2:
        raise InputError(
            f"background_color is given for {num_classes} classes without label_colors; name their colors by "
            "--label_colors, or leave it out: in masks of ids, 0 is the background"
        )


def _is_color(color: Any) -> bool:
    is_triple = isinstance(color, Sequence) and len(color) == 3
    return is_triple and all(isinstance(value, int) and value in range(256) for value in color)


def codes_of(values: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return (H, W, 3) colors as one number a pixel, red * 65536 + green * 256 + blue, in the shape (H, W)."""
    red, green, blue = (values[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def nearest_colors(values: NDArray[np.uint8], colors: Sequence[Color]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Find the nearest of a few colors for every pixel, by the sum of the squared differences of the channels.

    A table of 32 x 32 x 32 cells has the result for all colors of a cell, where it is the same. Only the pixels of the
    other cells are computed one by one, and few pixels of a mask are in these. The result is exact.

    Args:
        values: (H, W, 3) uint8 RGB.
        colors: colors of the classes 0, 1, ..., at most 256. Of equally near colors, the first one counts.

    Returns:
        (H, W) uint8 classes; and (H, W) whether a pixel differs from its color by more than a quarter of full scale in
        a channel.
    """
    red, green, blue = (values[..., channel].astype(np.uint16) for channel in range(3))
    entries = _table(tuple(colors)).take((red & 248) << 7 | (green & 248) << 2 | blue >> 3)  # 5 bits of each channel
    doubtful = np.flatnonzero(entries == _IN_DOUBT)
    classes = entries.astype(np.uint8)
    off = np.zeros(classes.shape, dtype=bool)
    classes.ravel()[doubtful], off.ravel()[doubtful] = _nearest(values.reshape(-1, 3)[doubtful], colors)
    return classes, off


def _nearest(pixels: NDArray[np.uint8], colors: Sequence[Color]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Compute the nearest color of (N, 3) pixels, and whether the pixels are far from it, both (N,)."""
    classes = np.zeros(len(pixels), dtype=np.uint8)
    least = np.full(len(pixels), 3 * 255**2 + 1, dtype=np.int32)
    for number, color in enumerate(colors):
        squares = ((pixels.astype(np.int32) - color) ** 2).sum(-1)
        is_nearer = squares < least
        classes[is_nearer], least[is_nearer] = number, squares[is_nearer]
    off = np.abs(pixels - np.array(colors, dtype=np.int32)[classes]).max(-1) > _FARTHEST
    return classes, off


@lru_cache(maxsize=8)
def _table(colors: tuple[Color, ...]) -> NDArray[np.uint16]:
    """Return the class of every cell, (32768,) uint16.

    The colors that are nearest to a class, and those that are not far from its color, are convex sets. So a cell is in
    such a set as a whole if its 8 corners are.
    """
    levels = np.arange(256).reshape(_CELLS, _CELL)[:, [0, -1]].ravel()  # both ends of every cell
    corners = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    classes, off = _nearest(corners.reshape(-1, 3).astype(np.uint8), colors)
    of_cells = classes.reshape(_CELLS, 2, _CELLS, 2, _CELLS, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 8)
    far = off.reshape(_CELLS, 2, _CELLS, 2, _CELLS, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 8).any(-1)
    agreed = (of_cells == of_cells[:, :1]).all(-1) & ~far
    return np.where(agreed, of_cells[:, 0].astype(np.uint16), np.uint16(_IN_DOUBT))


def area_colors(codes: NDArray[np.int32]) -> list[Color]:
    """Return the colors that fill areas of a mask, which are those of its classes and of its background.

    A color fills areas if at least half of its pixels, and at least 9, are surrounded by the same color. Soft edges do
    not. In a mask of many colors, as of a picture that was saved as JPEG before, a color must also have 5 % of the
    pixels that the most frequent color leaves.

    Args:
        codes: (H, W) from :py:func:`codes_of`, of a mask whose file is compressed without losses.

    Returns:
        The colors, the most frequent first. Of colors that differ by at most 32 in each channel, only the first is in
        the list.
    """
    counts = _counted(codes)
    inner = _counted(codes[inner_pixels(codes)])
    least = 0.05 * (codes.size - max(counts.values())) if len(counts) > _FEW_COLORS else 0
    colors: list[Color] = []
    for code in sorted(inner, key=lambda code: -inner[code]):
        is_area = inner[code] >= max(LEAST_INNER, counts[code] / 2, least)
        if is_area and not any(alike(_color(code), other) for other in colors):
            colors.append(_color(code))
    return colors


def smeared_colors(codes: NDArray[np.int32]) -> list[Color]:
    """Return the colors of a mask that compression has changed: those of at least 1 % of the pixels.

    Args:
        codes: (H, W) from :py:func:`codes_of`.

    Returns:
        The colors, the most frequent first. Each stands for all colors that differ from it by about 32 in a channel.
    """
    channels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)
    coarse = codes_of((channels + _COARSE // 2) // _COARSE).ravel()
    kinds, counts = np.unique(coarse, return_counts=True)
    order = [place for place in np.argsort(-counts) if counts[place] >= _LEAST_SHARE * codes.size]
    return [_color(_most_frequent(codes.ravel()[coarse == kinds[place]])) for place in order]


def alike(color: Color, other: Color) -> bool:
    """Return whether two colors differ by at most 32 in each channel."""
    return all(abs(one - two) <= _ALIKE for one, two in zip(color, other))


def describe_colors(codes: NDArray[np.int32], num_classes: int, background: Color | None, lossy: bool) -> str:
    """Return the colors of a mask with their shares, and the knobs that name them, for a message.

    Args:
        codes: (H, W) from :py:func:`codes_of`.
        num_classes: number of classes, with the background.
        background: color of the background, if the user has named it. If not, it is black, or the most frequent color
            where there is no black.
        lossy: whether compression has changed the colors.
    """
    colors = (smeared_colors if lossy else area_colors)(codes) or [_color(_most_frequent(codes))]
    back = background or next((color for color in colors if alike(color, (0, 0, 0))), colors[0])
    if len(colors) == 1 and alike(colors[0], back):  # the other colors are specks
        rest = codes[codes != colors[0][0] << 16 | colors[0][1] << 8 | colors[0][2]]
        colors.append(_color(_most_frequent(rest)))
    named = sorted(color for color in colors if not alike(color, back))  # in the same order for all masks
    kinds = codes_of(np.array([colors], dtype=np.uint8))[0]
    shares = [f"{list(color)} ({(codes == kind).mean():.1%})" for color, kind in zip(colors[:_MOST], kinds)]
    more = f" and {len(colors) - _MOST} more" if len(colors) > _MOST else ""
    cure = f'name them by --label_colors "{[list(color) for color in named]}"'
    if background is None and not alike(back, (0, 0, 0)):
        others = cure.replace("them", "the others")
        cure = f'set --background_color "{list(back)}" if this is the background, and {others}'
    if num_classes != len(named) + 1:
        to_divide = " to tell them apart" if num_classes == 2 else ""
        cure += f" (add --out_channels {len(named) + 1}{to_divide})"
    return f"colors {', '.join(shares)}{more}; {cure}"


def _counted(codes: NDArray[np.int32]) -> dict[int, int]:
    """Return the number of pixels of every color."""
    start = codes.ravel()[:1]  # mostly the background, which need not be sorted
    rest = codes[codes != start] if codes.size else codes
    kinds, counts = np.unique(rest, return_counts=True)
    return {**dict(zip(start.tolist(), [codes.size - rest.size])), **dict(zip(kinds.tolist(), counts.tolist()))}


def _most_frequent(codes: NDArray[np.int32]) -> int:
    counts = _counted(codes)
    return max(counts, key=lambda code: counts[code])


def _color(code: Any) -> Color:
    return int(code) >> 16, int(code) >> 8 & 255, int(code) & 255
