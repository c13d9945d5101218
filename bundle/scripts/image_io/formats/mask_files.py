# SPDX-License-Identifier: Apache-2.0

"""The file formats of saved masks: how a mask is written, and where its file keeps a mark.

To add a format, add a row to :py:data:`MASK_FORMATS`. :py:mod:`.registry` decides which image gets which format of
mask.
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

from ..pictures import TEXT_KEY, save_palette
from .nifti import load, open_nifti, write_mask

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
    """A file format that can keep a mark, see :py:mod:`..mask_marks`.

    Attributes:
        suffix: suffix of the file's name.
        text: reads the text that a file keeps beside its content. It may raise any error for a file of another format.
        content: reads the content that a mark protects: the pixels of the file, or its text. It may raise any error,
            too.
    """

    suffix: str
    text: Callable[[Path], str]
    content: Callable[[Path], NDArray[Any] | str]


@dataclass(frozen=True, kw_only=True)
class MaskFormat(MarkedFile):
    """A file format in which masks are saved.

    Attributes:
        write: writes a mask. Its arguments are the label ids, uint8 (H, W) or, for a volume, (D, H, W); the path of the
            segmented image; the path of the mask; and a text to keep in the file.
        is_volume: whether the file holds the mask of a volume.
    """

    write: Callable[[NDArray[np.uint8], str, Path, str], None]
    is_volume: bool


def mask_format(name: str | os.PathLike[str]) -> MaskFormat:
    """Return the format that has the suffix of a mask's name; PNG if no format has it.

    Args:
        name: name or path of the mask.
    """
    return next((kind for kind in MASK_FORMATS if str(name).endswith(kind.suffix)), PNG_MASK)


def _png_text(path: Path) -> str:
    with PngImageFile(path) as image:  # not Image.open, which refuses images of 179 megapixels and more
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


#: the mask of one image, with a palette of colors; the pixel values are the label ids
PNG_MASK = MaskFormat(
    suffix=".png",
    write=lambda ids, source, path, text: save_palette(ids, path, text),
    is_volume=False,
    text=_png_text,
    content=_png_content,
)

#: the mask of an image with several pages, as pages of gray values; the pixel values are the label ids
TIFF_MASK = MaskFormat(
    suffix=".tif", write=_write_tiff, is_volume=True, text=_tiff_text, content=lambda path: tifffile.imread(path)
)

#: the mask of a volume, at the same position in space as the volume
NIFTI_MASK = MaskFormat(
    suffix=".nii.gz", write=write_mask, is_volume=True, text=_nifti_text, content=_nifti_content
)

#: all formats in which a mask can be saved
MASK_FORMATS = (PNG_MASK, TIFF_MASK, NIFTI_MASK)

#: outlines of objects as GeoJSON, which inference can write beside masks
OUTLINES = MarkedFile(suffix=".geojson", text=_outlines_text, content=_outlines_content)
