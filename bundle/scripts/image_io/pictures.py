# SPDX-License-Identifier: Apache-2.0

"""Show label ids as colors: in the palette of saved masks, and in overlays on images."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.segmentation import find_boundaries

__all__ = ["PALETTE", "TEXT_KEY", "draw_overlay", "draw_panel", "save_palette", "save_png"]

# The background is black. Then follow colors that color-blind readers can tell apart (Okabe and Ito), and then fixed
# pseudo-random colors.
_ORANGE, _SKY, _GREEN, _YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
_OKABE_ITO = [_ORANGE, _SKY, _GREEN, _YELLOW, (0, 114, 178), (213, 94, 0), (204, 121, 167)]

#: key under which files keep a text, such as a mark
TEXT_KEY = "qtseg"

#: (256, 3) uint8, the color of each label id
PALETTE = np.random.RandomState(2412).randint(64, 256, (256, 3)).astype(np.uint8)
PALETTE[0] = 0
PALETTE[1 : 1 + len(_OKABE_ITO)] = _OKABE_ITO


def save_palette(ids: np.ndarray, path: str | os.PathLike, text: str = "") -> None:
    """Save a mask as an 8-bit palette PNG: the pixel values are the label ids, and any viewer shows colors.

    Args:
        ids: (H, W) uint8 label ids.
        path: path of the file.
        text: text to keep in the file under :py:data:`TEXT_KEY`.
    """
    mask = Image.fromarray(ids)
    mask.putpalette(PALETTE.tobytes())
    save_png(mask, path, text)


def save_png(picture: Image.Image, path: str | os.PathLike, text: str = "") -> None:
    """Save a picture as PNG.

    Args:
        picture: picture of any mode that PNG can store.
        path: path of the file.
        text: text to keep in the file under :py:data:`TEXT_KEY`.
    """
    facts = PngInfo()
    if text:
        facts.add_text(TEXT_KEY, text)
    # Level 1 takes half the time of level 6, and the files are a quarter larger.
    picture.save(path, "PNG", compress_level=1, pnginfo=facts)


def draw_overlay(image: np.ndarray, ids: np.ndarray, *, opacity: float = 0.35) -> np.ndarray:
    """Tint every labeled region of an image with its color, and draw its outline.

    Args:
        image: (C, H, W) image with 1 or 3 channels and any range of intensities.
        ids: (H, W) label ids, 0 for the background.
        opacity: opacity of the tint, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB picture.
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
    """Draw a row of pictures for every example: the image, the labels over the image, the prediction over the image.

    Args:
        rows: for every example, the image (C, H, W), the label ids (H, W) and the predicted ids (H, W). The examples
            may differ in size.
        gap: width of the white space between the pictures, in pixels.

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
