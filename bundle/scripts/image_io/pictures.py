# SPDX-License-Identifier: Apache-2.0

"""Label ids as colors: the palette of saved masks, and overlays on images."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.segmentation import find_boundaries

__all__ = ["PALETTE", "TEXT_KEY", "draw_overlay", "draw_panel", "save_palette", "save_png"]

# background black, then colors that stay apart for color-blind readers (Okabe and Ito), then a fixed pseudo-random rest
_ORANGE, _SKY, _GREEN, _YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
_OKABE_ITO = [_ORANGE, _SKY, _GREEN, _YELLOW, (0, 114, 178), (213, 94, 0), (204, 121, 167)]

#: of texts in PNG files
TEXT_KEY = "qtseg"

#: (256, 3) uint8, the color of each label id
PALETTE = np.random.RandomState(2412).randint(64, 256, (256, 3)).astype(np.uint8)
PALETTE[0] = 0
PALETTE[1 : 1 + len(_OKABE_ITO)] = _OKABE_ITO


def save_palette(ids: np.ndarray, path: str | os.PathLike, text: str = "") -> None:
    """Save a mask as an 8-bit palette PNG: the pixel values are the label ids, and any viewer shows colors.

    Args:
        ids: (H, W) uint8.
        path: of the file.
        text: kept in the file, under :py:data:`TEXT_KEY`.
    """
    mask = Image.fromarray(ids)
    mask.putpalette(PALETTE.tobytes())
    save_png(mask, path, text)


def save_png(picture: Image.Image, path: str | os.PathLike, text: str = "") -> None:
    """Save a picture as PNG.

    Args:
        picture: of any kind that PNG holds.
        path: of the file.
        text: kept in the file, under :py:data:`TEXT_KEY`.
    """
    facts = PngInfo()
    if text:
        facts.add_text(TEXT_KEY, text)
    picture.save(path, "PNG", compress_level=1, pnginfo=facts)  # half the time of level 6, for a quarter more bytes


def draw_overlay(image: np.ndarray, ids: np.ndarray, *, opacity: float = 0.35) -> np.ndarray:
    """Tint each labeled region with its color and outline it.

    Args:
        image: (C, H, W) with 1 or 3 channels, any intensity range.
        ids: (H, W) label ids.
        opacity: of the tint, in [0, 1].

    Returns:
        (H, W, 3) uint8.
    """
    channels = np.moveaxis(np.asarray(image, dtype=np.float64), 0, -1)
    low, high = channels.min(), channels.max()
    picture = np.broadcast_to((channels - low) * (255.0 / max(high - low, 1e-12)), (*ids.shape, 3)).copy()
    colors = PALETTE[ids.astype(np.uint8)].astype(np.float64)
    labeled = ids > 0
    picture[labeled] = (1 - opacity) * picture[labeled] + opacity * colors[labeled]
    outline = find_boundaries(ids, mode="inner")
    picture[outline] = colors[outline]
    return picture.round().astype(np.uint8)


def draw_panel(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], *, gap: int = 4) -> Image.Image:
    """One row an example: image, labels over the image, prediction over the image.

    Args:
        rows: (image (C, H, W), label ids (H, W), predicted ids (H, W)); each example has a size of its own.
        gap: white pixels between the pictures.

    Returns:
        An RGB picture.
    """
    lines = []
    for image, label, predicted in rows:
        pictures = [draw_overlay(image, ids) for ids in (np.zeros_like(label), label, predicted)]
        margin = ((0, gap), (0, gap), (0, 0))
        lines.append(np.concatenate([np.pad(p, margin, constant_values=255) for p in pictures], axis=1))
    width = max(line.shape[1] for line in lines)
    filled = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    return Image.fromarray(np.concatenate(filled))
