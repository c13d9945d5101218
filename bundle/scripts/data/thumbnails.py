# SPDX-License-Identifier: Apache-2.0

"""Make thumbnails of images: of the whole image, and of its content without a uniform border."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["THUMBNAIL", "content_box", "from_text", "thumbnails_of"]

THUMBNAIL = 32  # height and width of a thumbnail in pixels
# Share of an image's range of luma. The values in a border differ by less; JPEG of quality 75 changes them less.
_UNIFORM = 0.1
_LUMA = (0.299, 0.587, 0.114)  # shares of red, green and blue; JPEG blurs colors across edges, but hardly luma
_BORDERS = 2  # an image with a frame may have been padded in another color
_LEAST = 0.5  # smallest height and width of the content, as shares of the image's


def thumbnails_of(image: NDArray[Any], plain: NDArray[Any]) -> tuple[str, str]:
    """Make the thumbnails of an image.

    Args:
        image: (H, W, C) intensities in [0, 255], in the color space that the network sees.
        plain: (H, W, C) the same image in RGB or grey, which shows where the content is.

    Returns:
        The grey values of the whole image and of its content, each 32 x 32 uint8, as base64. The second one is empty if
        the image has no uniform border.
    """
    gray = image.mean(-1).astype(np.uint8)
    rows, columns = content_box((plain @ np.array(_LUMA) if plain.shape[-1] == 3 else plain[..., 0]).astype(np.uint8))
    content = gray[rows, columns]
    return _as_text(gray), _as_text(content) if content.shape != gray.shape else ""


def from_text(text: str) -> NDArray[np.uint8]:
    """Return the thumbnail that a text of :py:func:`thumbnails_of` holds.

    Args:
        text: base64; not empty.

    Returns:
        (32, 32) grey values.
    """
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(THUMBNAIL, THUMBNAIL)


def content_box(gray: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Find the content of an image: what is left without the uniform lines at its edges.

    Such lines come from padding, or from the black frame of a microscope or a fundus camera.

    Args:
        gray: (H, W) luma.

    Returns:
        The rows and the columns of the content. They are those of the whole image if the content would have less than
        half of its height or width, as a single object on an empty background does.
    """
    limit = _UNIFORM * float(gray.max() - gray.min())
    height, width = gray.shape
    rows, columns = slice(0, height), slice(0, width)
    for _ in range(_BORDERS):
        inner = gray[rows, columns]
        rows, columns = _within(rows, _inner(inner, limit)), _within(columns, _inner(inner.T, limit))
        if rows.stop - rows.start < _LEAST * height or columns.stop - columns.start < _LEAST * width:
            return slice(0, height), slice(0, width)
    return rows, columns


def _within(part: slice, inner: slice) -> slice:
    return slice(part.start + inner.start, part.start + inner.stop)


def _inner(lines: NDArray[np.uint8], limit: float) -> slice:
    """Return the lines between the uniform ones at both ends that have the color of the outermost line."""
    low, high = lines.min(1).astype(float), lines.max(1).astype(float)
    first = _uniform(low, high, limit)
    last = _uniform(low[::-1], high[::-1], limit)
    return slice(first, max(first, len(lines) - last))


def _uniform(low: NDArray[np.float64], high: NDArray[np.float64], limit: float) -> int:
    """Count the lines, from the first one on, whose values together with those of the first one lie close together."""
    different = np.maximum(high, high[0]) - np.minimum(low, low[0]) > limit
    return int(different.argmax()) if different.any() else len(different)


def _as_text(gray: NDArray[np.uint8]) -> str:
    small = Image.fromarray(gray).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return base64.b64encode(np.asarray(small).tobytes()).decode()
