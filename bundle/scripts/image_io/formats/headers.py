# SPDX-License-Identifier: Apache-2.0

"""Read the headers of 2D image files, and refuse what is not supported before any pixel is decoded."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import SEEK_CUR
from typing import IO

import png
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import TiffFileError, TiffPage

from ...common.errors import InputError
from .tiff import Source, image_count, turned_tiff

__all__ = [
    "bmp_header",
    "open_image",
    "orientation",
    "page_count",
    "pillow_header",
    "turned_to",
    "upright_size",
]

# What Pillow, tifffile and pypng raise for damaged files: their own errors, and the errors of parsing, such as a file
# that ends too early, a wrong offset, a size of 0, a value that no table has, or a request for too much memory.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    EOFError,
    struct.error,
    MemoryError,
    zlib.error,
    lzma.LZMAError,
    png.Error,
    TiffFileError,
    Image.DecompressionBombError,
)

#: parses the header of a page; its arguments are the opened file, its path for messages, and the page, counted from 0
HeaderParser = Callable[[IO[bytes], str, int], Source]

# Pillow's decoders of PNG, GIF and JPEG. Where the first drops bits, .pixels takes another decoder.
_KNOWN_DECODERS = ("zip", "gif", "jpeg")
# Layouts of pixels that Pillow's decoder "raw" copies: it neither stretches the values nor drops bits.
_COPIED_LAYOUTS = ("1", "1;I", "L", "LA", "P", "P;1", "P;2", "P;4", "RGB", "BGR", "RGBA", "BGRA", "I;16", "I;16B")


@contextmanager
def open_image(path: str, parse: HeaderParser, page: int = 0) -> Iterator[Source]:
    """Parse the header of an image file.

    Within the ``with`` block, an error of a decoder becomes an InputError that names the file.

    Args:
        path: path of the file.
        parse: the parser for the format of the file.
        page: number of the page or frame, counted from 0.

    Yields:
        A Pillow image whose pixels are not yet decoded. For a TIFF of which Pillow would not keep every bit, it is a
        tifffile page. This is so for several channels of more than 8 bits, for uint32, for int8, and for types that
        Pillow does not know, such as float64.

    Raises:
        InputError: if the file is missing or damaged, or if its channels are neither grey nor RGB, with at most one
            alpha channel.
    """
    try:
        with open(path, "rb") as file:
            yield parse(file, path, page)
    except InputError:
        raise
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{path} cannot be opened: {error.strerror}") from error
        raise InputError(
            f"{path} cannot be read ({str(error) or type(error).__name__}); get a new copy, or save it again as 8- or "
            "16-bit grey or RGB PNG"
        ) from error


def pillow_header(plugin: Callable[[IO[bytes]], ImageFile]) -> HeaderParser:
    """Return the parser for a format of which Pillow keeps every bit.

    A changed value is another intensity, and in a mask another label id. So a file is refused if Pillow decodes it in a
    way that is not known to keep its values, such as a PGM whose largest value is 15, which Pillow stretches to 255.
    This check sees only the decoder that the plugin names when it has read the header (``ImageFile.tile``). Before you
    add a format, read the source of its plugin for what the check cannot see: files of more bits than the mode has,
    such as AVIF of 10 bits; a factor for the values in the header, as in FITS; a mode that depends on the colors, as
    in BMP; a plugin that names no decoder, or that decodes when it is opened, as that of WebP. If a file may have one
    of these, write a parser that refuses it, such as :py:func:`bmp_header`.

    Args:
        plugin: Pillow's class for the format. ``Image.open`` is not used, as it has a limit on pixels that is global in
            the process: it warns from 89 megapixels on and raises an error from 179 megapixels on. The caller compares
            the size in the header with a limit of its own.
    """

    def parse(file: IO[bytes], path: str, page: int) -> Source:
        # Pillow gets the opened file and not its name. With the name it would map the file into memory, which garbles
        # a TIFF with an orientation above 4.
        image = plugin(file)
        _check_values_are_kept(image)
        if page:
            image.seek(page)
        return image

    return parse


def bmp_header(file: IO[bytes], path: str, page: int) -> Source:
    """Parse the header of a BMP, as a :py:data:`HeaderParser`. A BMP that Pillow would garble is refused."""
    image = BmpImageFile(file)
    _check_bmp(image, file)
    return image


def upright_size(source: Source) -> tuple[int, int]:
    """Return the height and width of an opened image in pixels, after it is turned upright by its EXIF orientation."""
    if isinstance(source, TiffPage):
        height, width = source.imagelength, source.imagewidth
    elif isinstance(source, TiffImageFile):  # Pillow has already turned the `size` of a TIFF
        height, width = source.tag_v2[Tag.ImageLength], source.tag_v2[Tag.ImageWidth]
    else:
        height, width = source.height, source.width
    if not (isinstance(height, int) and isinstance(width, int)):  # a damaged TIFF can hold anything
        raise ValueError("it has no height and width")
    return (width, height) if orientation(source) >= 5 else (height, width)


def turned_to(path: str, source: Source, page: int) -> Source | None:
    """Go to another page of an opened file.

    Args:
        path: path of the file, for messages.
        source: image from :py:func:`open_image`, within its ``with`` block.
        page: number of the page, counted from 0; larger than the numbers of the pages read before.

    Returns:
        The page, or None if it must be opened with :py:func:`open_image`.
    """
    if isinstance(source, (TiffPage, TiffImageFile)):
        return turned_tiff(path, source, page)
    source.seek(page)
    return source


def page_count(source: Source) -> int:
    """Return the number of pages or frames in the file of an opened image."""
    if isinstance(source, (TiffPage, TiffImageFile)):
        return image_count(source)
    if source.format == "MPO":  # a JPEG of some cameras; its other frames are previews or the view of a second lens
        return 1
    return getattr(source, "n_frames", 1)


def orientation(source: Source) -> int:
    """Return the EXIF orientation of an opened image, 1 (upright) to 8. From 5 on, rows and columns are exchanged."""
    if isinstance(source, TiffPage):
        value = source.tags.valueof(Tag.Orientation, default=1)
    elif isinstance(source, PngImageFile):
        exif = Image.Image.getexif(source)  # PNG's own getexif would decode the pixels
        value = exif.get(Tag.Orientation) or _orientation_behind_pixels(source)
    else:
        value = source.getexif().get(Tag.Orientation, 1)
    return value if value in range(1, 9) else 1


def _check_values_are_kept(image: ImageFile) -> None:
    for decoder, _, _, options in image.tile:
        layout = options[0] if isinstance(options, tuple) else options
        if decoder not in _KNOWN_DECODERS and (decoder != "raw" or layout not in _COPIED_LAYOUTS):
            raise ValueError(f"Pillow may change its values, which are stored as {decoder} {layout}")


def _check_bmp(image: BmpImageFile, file: IO[bytes]) -> None:
    """Refuse a BMP of which Pillow would read too few bits.

    Where the palette has only greys, Pillow derives the bits of a pixel from the palette, though the file may store
    more.
    """
    position = file.tell()
    file.seek(0)
    start = file.read(30)
    file.seek(position)
    (header_size,) = struct.unpack_from("<I", start, 14)
    (bits,) = struct.unpack_from("<H", start, 24 if header_size == 12 else 28)
    if bits != {"1": 1, "L": 8}.get(image.mode, bits):
        raise ValueError(f"a BMP of {bits} bits with a palette of few greys is not supported")


def _orientation_behind_pixels(image: PngImageFile) -> int:
    """Return the orientation from an eXIf chunk that follows the pixels of a PNG; 1 if there is no such chunk.

    Pillow reads this chunk only after it has decoded the pixels.
    """
    file = image.fp
    assert file is not None  # Pillow closes the file only when it decodes the pixels
    position, in_pixels, value = file.tell(), False, 1
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        in_pixels = in_pixels or kind == b"IDAT"
        if in_pixels and kind == b"eXIf":
            exif = Image.Exif()
            exif.load(file.read(length))
            value = exif.get(Tag.Orientation, 1)
            break
        file.seek(length + 4, SEEK_CUR)
    file.seek(position)
    return value
