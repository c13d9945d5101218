# SPDX-License-Identifier: Apache-2.0

"""Files that masks are saved as: how each kind is written, and where it keeps a mark.

A new kind is one row in :py:data:`MASK_FORMATS`. Which image gets which kind of mask, :py:mod:`.formats` says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from .nifti import load, open_nifti, write_mask
from .pictures import TEXT_KEY, save_palette

__all__ = [
    "MASK_FORMATS",
    "NIFTI_MASK",
    "OUTLINES",
    "PNG_MASK",
    "TIFF_MASK",
    "MarkedFile",
    "MaskFormat",
    "mask_format",
]


@dataclass(frozen=True, kw_only=True)
class MarkedFile:
    """A kind of file that can keep a mark.

    Attributes:
        suffix: end of the file's name.
        text: reads the text that a file keeps beside its content. It may raise anything on a file of another kind.
        content: reads what the mark of a file is about: its pixels, or its text. It may raise anything, too.
    """

    suffix: str
    text: Callable[[Path], str]
    content: Callable[[Path], NDArray[Any] | str]


@dataclass(frozen=True, kw_only=True)
class MaskFormat(MarkedFile):
    """A kind of file that masks are saved as.

    Attributes:
        write: writes label ids. It takes the ids, (H, W) or for a volume (D, H, W) uint8; the path of the image that
            they are of; the path of the mask; and a text to keep.
        is_volume: whether it holds the mask of a volume.
    """

    write: Callable[[NDArray[np.uint8], str, Path, str], None]
    is_volume: bool


def mask_format(name: str | os.PathLike[str]) -> MaskFormat:
    """The kind of a mask by the end of its name; PNG where that is none of a mask.

    Args:
        name: of the mask, or its path.
    """
    return next((kind for kind in MASK_FORMATS if str(name).endswith(kind.suffix)), PNG_MASK)


def _png_text(path: Path) -> str:
    with PngImageFile(path) as image:  # not Image.open, which refuses the mask of an image of 179 megapixels and more
        return str(image.info.get(TEXT_KEY, ""))


def _png_content(path: Path) -> NDArray[Any]:
    with PngImageFile(path) as image:
        return np.asarray(image)


def _tiff_text(path: Path) -> str:
    with tifffile.TiffFile(path) as file:
        return str(file.pages.first.description)


def _write_tiff(ids: NDArray[np.uint8], source: str, path: Path, text: str) -> None:
    tifffile.imwrite(path, ids, photometric="minisblack", compression="zlib", description=text, metadata=None)


def _nifti_text(path: Path) -> str:
    header: Any = load(path).header
    return bytes(header["descrip"]).rstrip(b"\0").decode("ascii", "replace")


def _nifti_content(path: Path) -> NDArray[np.uint8]:
    with open_nifti(str(path)) as file:
        return np.stack([page.values for page in file.decode(2**62)]).astype(np.uint8)


def _outlines_text(path: Path) -> str:
    return str(json.loads(path.read_text(encoding="utf-8")).get(TEXT_KEY, ""))


def _outlines_content(path: Path) -> str:
    return json.dumps({**json.loads(path.read_text(encoding="utf-8")), TEXT_KEY: None})


#: a palette of colors, of one image; the pixel values are the label ids
PNG_MASK = MaskFormat(
    suffix=".png",
    write=lambda ids, source, path, text: save_palette(ids, path, text),
    is_volume=False,
    text=_png_text,
    content=_png_content,
)

#: gray pages
TIFF_MASK = MaskFormat(
    suffix=".tif", write=_write_tiff, is_volume=True, text=_tiff_text, content=lambda path: tifffile.imread(path)
)

#: a volume that lies where that of the image does
NIFTI_MASK = MaskFormat(
    suffix=".nii.gz", write=write_mask, is_volume=True, text=_nifti_text, content=_nifti_content
)

#: all that a mask can be saved as
MASK_FORMATS = (PNG_MASK, TIFF_MASK, NIFTI_MASK)

#: GeoJSON, which inference writes beside masks
OUTLINES = MarkedFile(suffix=".geojson", text=_outlines_text, content=_outlines_content)
