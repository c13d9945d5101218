# SPDX-License-Identifier: Apache-2.0

"""The registry of image formats: all that the bundle knows of a kind of file is a row of :py:data:`FORMATS`.

Another format is another row. Where Pillow keeps every bit of it, the row needs no code; else a module of its own reads
the header and decodes, as :py:mod:`.nifti` does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import PREFIXES as TIFF_PREFIXES

from ..common.errors import InputError
from .dicom import open_dicom
from .headers import bmp_header, pillow_header, tiff_header
from .mask_files import NIFTI_MASK, PNG_MASK, TIFF_MASK, MaskFormat
from .nifti import open_nifti, write_mask
from .pixels import OpenedFile, open_raster

__all__ = [
    "FORMATS",
    "Format",
    "format_named",
    "format_of",
    "has_image_suffix",
    "image_suffix",
    "image_suffixes",
    "label_suffixes",
    "stem",
]

_START = 256  # bytes of a file, which hold all signatures


@dataclass(frozen=True, kw_only=True)
class Format:
    """What there is to know of an image format.

    Attributes:
        name: for messages.
        suffixes: ends of the names of its files, in lower case.
        open: reads the header of a file, but no pixels, in a ``with`` block; what it yields decodes the pixels, once
            their number has been checked. It must raise an InputError for whatever a damaged file can bring about.
        signatures: what its files hold at ``signature_at``, one of these. A file goes by its content, as many are
            misnamed. Without a signature it goes by its name.
        signature_at: number of bytes before the signature.
        may_have_pages: whether a file can hold several pages, frames or slices; where not, one that does is refused.
        is_volume: whether a file is a volume, even of a single slice.
        mask_of_volume: what the mask of a volume, or of several pages, is saved as. That of one image is a PNG.
        may_lack_suffix: whether files are often named without a suffix, so that unknown names are looked into.
        in_datastore: whether the datastore of MONAI Label takes such images.
        write_label: writes the label of an image for a client of MONAI Label; None where labels are not written in this
            format. It takes ids, (H, W) or for a volume (D, H, W) uint8; the path of the image if that is of the same
            format, else None; and the path of the label.
    """

    name: str
    suffixes: tuple[str, ...]
    open: Callable[[str], AbstractContextManager[OpenedFile]]
    signatures: tuple[bytes, ...] = ()
    signature_at: int = 0
    may_have_pages: bool = False
    is_volume: bool = False
    mask_of_volume: MaskFormat = TIFF_MASK
    may_lack_suffix: bool = False
    in_datastore: bool = True
    write_label: Callable[[NDArray[np.uint8], str | None, str], None] | None = None

    def mask_of(self, pages: int) -> MaskFormat:
        """What the mask of an image is saved as.

        Args:
            pages: number of pages of the image.
        """
        return self.mask_of_volume if self.is_volume or pages > 1 else PNG_MASK


def _write_picture(ids: NDArray[np.uint8], source: str | None, path: str) -> None:
    Image.fromarray(ids).save(path)


#: all formats that are read, in the order that messages name them
FORMATS = (
    Format(
        name="PNG",
        suffixes=(".png",),
        open=partial(open_raster, parse=pillow_header(PngImageFile)),
        signatures=(b"\x89PNG\r\n\x1a\n",),
        write_label=_write_picture,
    ),
    Format(
        name="JPEG",
        suffixes=(".jpg", ".jpeg"),
        open=partial(open_raster, parse=pillow_header(jpeg_factory)),
        signatures=(b"\xff\xd8\xff",),
    ),
    Format(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        open=partial(open_raster, parse=tiff_header),
        signatures=tuple(TIFF_PREFIXES),
        may_have_pages=True,
        write_label=_write_picture,
    ),
    Format(
        name="BMP",
        suffixes=(".bmp",),
        open=partial(open_raster, parse=bmp_header),
        signatures=(b"BM",),
        write_label=_write_picture,
    ),
    Format(
        name="GIF",
        suffixes=(".gif",),
        open=partial(open_raster, parse=pillow_header(GifImageFile)),
        signatures=(b"GIF87a", b"GIF89a"),
        may_have_pages=True,
    ),
    Format(
        name="DICOM",
        suffixes=(".dcm", ".dicom"),
        open=open_dicom,
        signatures=(b"DICM",),
        signature_at=128,
        may_have_pages=True,
        may_lack_suffix=True,
        in_datastore=False,  # MONAI Label needs another version of pydicom than it does
    ),
    Format(
        name="NIfTI",
        suffixes=(".nii", ".nii.gz"),
        open=open_nifti,
        may_have_pages=True,
        is_volume=True,
        mask_of_volume=NIFTI_MASK,
        write_label=write_mask,
    ),
)


def image_suffixes() -> tuple[str, ...]:
    """Ends of the names of supported files, in lower case."""
    return tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)


def label_suffixes() -> tuple[str, ...]:
    """Ends of the names of files that labels for MONAI Label can be written as, in lower case."""
    return tuple(suffix for format_ in FORMATS if format_.write_label for suffix in format_.suffixes)


def image_suffix(name: str | os.PathLike[str]) -> str:
    """The end of a file's name that is a suffix of a supported format, as it is written there; "" if there is none."""
    file = Path(name).name
    known = next((suffix for suffix in image_suffixes() if file.lower().endswith(suffix)), "")
    return file[len(file) - len(known) :]


def has_image_suffix(name: str | os.PathLike[str]) -> bool:
    """Whether a file's name ends as that of a supported format, in any case."""
    return Path(name).name.lower().endswith(image_suffixes())


def stem(name: str | os.PathLike[str]) -> str:
    """A file's name without the suffix of its format, which can have two parts, as ``.nii.gz``."""
    file, suffix = Path(name), image_suffix(name)
    return file.name.removesuffix(suffix) if suffix.count(".") > 1 else file.stem


def format_named(name: str | os.PathLike[str]) -> Format | None:
    """The format that a file's name promises, without opening the file; None for an unknown suffix."""
    file = Path(name).name.lower()
    return next((format_ for format_ in FORMATS if file.endswith(format_.suffixes)), None)


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format of a file: by its content, or, of a format without a signature, by its name.

    Args:
        path: of the file.

    Raises:
        InputError: if it cannot be opened, is a pipe or a device, or is of no supported format.
    """
    _check_is_file(path)
    named = format_named(path)
    if named is not None and not named.signatures:
        return named
    try:
        with open(path, "rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    fitting = [format_ for format_ in FORMATS if start[format_.signature_at :].startswith(format_.signatures)]
    if not fitting:
        *names, last = (format_.name for format_ in FORMATS)
        raise InputError(f"{path} is not a {', '.join(names)} or {last} image; remove it, or convert it to PNG")
    # A DICOM file may begin as one of another format, for which its first 128 bytes are free.
    return max(fitting, key=lambda format_: format_.signature_at)


def _check_is_file(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe, a socket or a device, which may never end."""
    try:
        kind = os.stat(path).st_mode
    except (OSError, ValueError):  # whoever opens it will say so
        return
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise InputError(f"{path} is a pipe, a socket or a device; give a file")
