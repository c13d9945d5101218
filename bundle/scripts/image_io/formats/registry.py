# SPDX-License-Identifier: Apache-2.0

"""The registry of image formats. Everything that the bundle knows about a format is in its row of :py:data:`FORMATS`.

To add a format, add a row. If Pillow keeps every bit of the format, the row needs no other code;
:py:func:`.headers.pillow_header` says what to check. If not, write a module that reads the header and decodes the
pixels, such as :py:mod:`.nifti`.
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

from ...common.errors import InputError
from .dicom import open_dicom
from .headers import bmp_header, pillow_header
from .mask_files import NIFTI_MASK, PNG_MASK, TIFF_MASK, MaskFormat
from .nifti import open_nifti, write_mask
from .pixels import OpenedFile, open_raster
from .tiff import tiff_header

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

_START = 256  # bytes at the start of a file that are read; the signatures of all formats lie within them


@dataclass(frozen=True, kw_only=True)
class Format:
    """An image format.

    Attributes:
        name: name of the format in messages.
        suffixes: suffixes of the names of its files, in lower case.
        open: opens a file in a ``with`` block and reads its header, but no pixels. The :py:class:`.pixels.OpenedFile`
            that it yields decodes the pixels, after the caller has checked how many they are. It must keep every bit
            of the pixels, as they may be label ids, or refuse the file; see :py:func:`.headers.pillow_header`. It must
            raise an InputError for every error that a damaged file can cause.
        signatures: byte strings, one of which every file of this format holds at ``signature_at``. The signature
            decides on the format of a file, and not its name, as many files are misnamed. A format without signatures
            is recognized by the name of the file.
        signature_at: number of bytes before the signature.
        may_have_pages: whether a file can hold several pages, frames or slices. If false, a file with several is
            refused.
        is_lossy: whether compression changes the values of all files of this format, as in JPEG. Such a file cannot be
            the mask of several classes.
        is_volume: whether a file is a volume, even if it has a single slice.
        mask_of_volume: format of the mask of a volume, or of an image with several pages. The mask of a single image is
            a PNG.
        may_lack_suffix: whether files often have no suffix. If true, files with unknown suffixes are opened to find
            out whether they are of this format.
        in_datastore: whether the datastore of MONAI Label takes images of this format.
        write_label: writes the label of an image for a client of MONAI Label; None if labels are not written in this
            format. Its arguments are the label ids, uint8 (H, W) or, for a volume, (D, H, W); the path of the image if
            it is of the same format, else None; and the path of the label.
    """

    name: str
    suffixes: tuple[str, ...]
    open: Callable[[str], AbstractContextManager[OpenedFile]]
    signatures: tuple[bytes, ...] = ()
    signature_at: int = 0
    may_have_pages: bool = False
    is_lossy: bool = False
    is_volume: bool = False
    mask_of_volume: MaskFormat = TIFF_MASK
    may_lack_suffix: bool = False
    in_datastore: bool = True
    write_label: Callable[[NDArray[np.uint8], str | None, str], None] | None = None

    def mask_of(self, pages: int) -> MaskFormat:
        """Return the format that the mask of an image is saved in.

        Args:
            pages: number of pages of the image.
        """
        return self.mask_of_volume if self.is_volume or pages > 1 else PNG_MASK


def _write_picture(ids: NDArray[np.uint8], source: str | None, path: str) -> None:
    Image.fromarray(ids).save(path)


#: all formats that can be read, in the order in which messages name them
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
        is_lossy=True,
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
        in_datastore=False,  # MONAI Label needs another version of pydicom than this format does
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
    """Return the suffixes of all supported formats, in lower case."""
    return tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)


def label_suffixes() -> tuple[str, ...]:
    """Return the suffixes of the formats in which labels for MONAI Label can be written, in lower case."""
    return tuple(suffix for format_ in FORMATS if format_.write_label for suffix in format_.suffixes)


def image_suffix(name: str | os.PathLike[str]) -> str:
    """Return the suffix of a file's name, in upper or lower case as it is in the name.

    Args:
        name: name or path of the file.

    Returns:
        The suffix, such as ``.PNG`` or ``.nii.gz``; "" if the name has no suffix of a supported format.
    """
    file = Path(name).name
    supported = next((suffix for suffix in image_suffixes() if file.lower().endswith(suffix)), "")
    return file[len(file) - len(supported) :]


def has_image_suffix(name: str | os.PathLike[str]) -> bool:
    """Return whether a file's name has the suffix of a supported format, in upper or lower case."""
    return Path(name).name.lower().endswith(image_suffixes())


def stem(name: str | os.PathLike[str]) -> str:
    """Return a file's name without its suffix. The suffix can have two parts, such as ``.nii.gz``."""
    file, suffix = Path(name), image_suffix(name)
    return file.name.removesuffix(suffix) if suffix.count(".") > 1 else file.stem


def format_named(name: str | os.PathLike[str]) -> Format | None:
    """Return the format that has the suffix of a file's name, or None for an unknown suffix. The file is not opened."""
    file = Path(name).name.lower()
    return next((format_ for format_ in FORMATS if file.endswith(format_.suffixes)), None)


def format_of(path: str | os.PathLike[str]) -> Format:
    """Find out the format of a file by its content. A format without signatures is recognized by the file's name.

    Args:
        path: path of the file.

    Returns:
        The row of :py:data:`FORMATS`.

    Raises:
        InputError: if the file cannot be opened, is a pipe or a device, or has no supported format.
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
    # The first 128 bytes of a DICOM file are free, so it may also start with the signature of another format. The
    # signature that comes last in the file decides.
    return max(fitting, key=lambda format_: format_.signature_at)


def _check_is_file(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe, a socket or a device: reading it may never end."""
    try:
        kind = os.stat(path).st_mode
    except (OSError, ValueError):  # opening the file will report this error
        return
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise InputError(f"{path} is a pipe, a socket or a device; give a file")
