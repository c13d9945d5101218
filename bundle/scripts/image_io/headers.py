# SPDX-License-Identifier: Apache-2.0

"""Headers of 2D image files: what can be known, and refused, before any pixel is decoded."""

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
from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffFileError, TiffPage

from ..common.errors import InputError

__all__ = [
    "Source",
    "bmp_header",
    "open_image",
    "orientation",
    "page_count",
    "pillow_header",
    "tiff_header",
    "tile_size",
    "turned_to",
    "upright_size",
]

# What Pillow, tifffile and pypng raise on damaged files: their own errors, and those of parsing itself, such as short
# reads, wild offsets, zero sizes and values outside of tables, or more memory than there is.
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

#: an image whose header has been parsed
Source = ImageFile | TiffPage

#: parses the header of an opened file, whose path is for messages, and turns to a page, counted from 0
HeaderParser = Callable[[IO[bytes], str, int], Source]

_UNSIGNED = 1  # a value of the TIFF tag SampleFormat
_IMAGE_DEPTH = 32997  # a TIFF tag


@contextmanager
def open_image(path: str, parse: HeaderParser, page: int = 0) -> Iterator[Source]:
    """Parse the header of an image file.

    Within the ``with`` block, what the decoders raise becomes an InputError that names the file.

    Args:
        path: the file.
        parse: the parser of its format.
        page: number of the page or frame, from 0.

    Yields:
        A Pillow image, its pixels not yet decoded; or a tifffile page where Pillow would not keep every bit of a TIFF:
        several channels of more than 8 bits, uint32, int8, and types that it does not know, such as float64.

    Raises:
        InputError: if the file is missing, damaged, or holds channels other than grey or RGB with at most one alpha
            channel.
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
    """The parser of a format that Pillow keeps every bit of.

    Args:
        plugin: Pillow's class of the format. ``Image.open`` would not do: its limit on pixels is a global of the
            process, which warns from 89 and raises from 179 megapixels on; the caller compares its own with the header.
    """

    def parse(file: IO[bytes], path: str, page: int) -> Source:
        # Without the file name, Pillow does not map the file into memory, which garbles a TIFF with an orientation
        # above 4.
        image = plugin(file)
        if page:
            image.seek(page)
        return image

    return parse


def bmp_header(file: IO[bytes], path: str, page: int) -> Source:
    """The parser of BMP, a :py:data:`HeaderParser`; it refuses what Pillow would garble."""
    image = BmpImageFile(file)
    _check_bmp(image, file)
    return image


def tiff_header(file: IO[bytes], path: str, page: int) -> Source:
    """The parser of TIFF, a :py:data:`HeaderParser`: by Pillow where it keeps every bit, else by tifffile."""
    try:
        image = TiffImageFile(file)
        if page:
            image.seek(page)
    except SyntaxError:  # a pixel type that Pillow does not know; or damage, which tifffile will report
        image = None
    if image is not None and _is_exact(image):
        tags = image.tag_v2
        _check_depth(path, tags.get(_IMAGE_DEPTH, 1))
        samples, extra = tags.get(Tag.SamplesPerPixel, 1), tags.get(Tag.ExtraSamples, ())
        _check_channels(path, tags.get(Tag.PhotometricInterpretation, 0), samples, extra)
        return image
    file.seek(0)
    tiff = TiffFile(file, name=path)
    found = tiff.pages[page]
    if not isinstance(found, TiffPage):
        raise ValueError(f"page {page} has no tags of its own")
    _check_depth(path, found.imagedepth)
    _check_channels(path, found.photometric, found.samplesperpixel, found.extrasamples)
    return found


def upright_size(source: Source) -> tuple[int, int]:
    """Height and width of an opened image, the right way up."""
    if isinstance(source, TiffPage):
        height, width = source.imagelength, source.imagewidth
    elif isinstance(source, TiffImageFile):  # whose `size` is turned already
        height, width = source.tag_v2[Tag.ImageLength], source.tag_v2[Tag.ImageWidth]
    else:
        height, width = source.height, source.width
    if not (isinstance(height, int) and isinstance(width, int)):  # a damaged TIFF can hold anything
        raise ValueError("it has no height and width")
    return (width, height) if orientation(source) >= 5 else (height, width)


def tile_size(source: Source) -> tuple[int, int]:
    """Height and width of the tiles in which a TIFF is stored, each decoded as a whole; (0, 0) without any."""
    if isinstance(source, TiffPage):
        return source.tilelength, source.tilewidth
    if not isinstance(source, TiffImageFile):
        return 0, 0
    height, width = (source.tag_v2.get(tag, 0) for tag in (Tag.TileLength, Tag.TileWidth))
    if not (isinstance(height, int) and isinstance(width, int)):
        raise ValueError("its tiles have no height and width")
    return height, width


def turned_to(source: Source, page: int) -> Source | None:
    """Another page of the file that an opened image is of; None if it must be opened by itself.

    Args:
        source: of :py:func:`open_image`, within its ``with`` block.
        page: its number, larger than those before.
    """
    if isinstance(source, TiffPage):
        return None
    source.seek(page)
    return None if isinstance(source, TiffImageFile) and not _is_exact(source) else source


def page_count(source: Source) -> int:
    """Number of pages or frames of the file that an opened image is of."""
    if isinstance(source, TiffPage):
        return len(source.parent.pages)
    if source.format == "MPO":  # a JPEG as some cameras write it, with previews or the view of a second lens
        return 1
    return getattr(source, "n_frames", 1)


def orientation(source: Source) -> int:
    """EXIF orientation of an opened image, 1 (upright) to 8; from 5 on, rows and columns are exchanged."""
    if isinstance(source, TiffPage):
        value = source.tags.valueof(Tag.Orientation, default=1)
    elif isinstance(source, PngImageFile):
        exif = Image.Image.getexif(source)  # PNG's own getexif would decode the pixels
        value = exif.get(Tag.Orientation) or _orientation_behind_pixels(source)
    else:
        value = source.getexif().get(Tag.Orientation, 1)
    return value if value in range(1, 9) else 1


def _check_depth(path: str, depth: int) -> None:
    if depth != 1:
        raise InputError(f"{path} has a page of {depth} slices (ImageDepth); save each slice as a page of its own")


def _is_exact(image: TiffImageFile) -> bool:
    """Whether Pillow keeps every bit of a TIFF."""
    bits = max(image.tag_v2.get(Tag.BitsPerSample, (1,)))
    unsigned = image.tag_v2.get(Tag.SampleFormat, (_UNSIGNED,))[0] == _UNSIGNED
    if bits <= 8:
        return unsigned  # -1 would become 255
    if image.mode in ("I", "F"):
        # From 2**31 on, unsigned ones would become negative; compressed big-endian ones come with their bytes swapped.
        return not (bits == 32 and unsigned) and image.tag_v2.prefix == b"II"
    return len(image.getbands()) == 1  # colors would lose their low byte


def _check_bmp(image: BmpImageFile, file: IO[bytes]) -> None:
    """Pillow derives the bits of a pixel from a palette of greys, though more may be stored."""
    position = file.tell()
    file.seek(0)
    start = file.read(30)
    file.seek(position)
    (header_size,) = struct.unpack_from("<I", start, 14)
    (bits,) = struct.unpack_from("<H", start, 24 if header_size == 12 else 28)
    if bits != {"1": 1, "L": 8}.get(image.mode, bits):
        raise ValueError(f"a BMP of {bits} bits with a palette of few greys is not supported")


def _check_channels(path: str, photometric: int, samples: int, extra: tuple[int, ...]) -> None:
    # Without this check, the second of two stains and whatever follows RGB would be taken for alpha and dropped.
    is_grey = photometric in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.PALETTE)
    colors = 1 if is_grey else 4 if photometric == PHOTOMETRIC.SEPARATED else 3
    is_alpha = bool({EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA} & set(extra))
    if samples > colors + 1 or (is_grey and samples == 2 and not is_alpha):
        raise InputError(f"{path} has {samples} channels; save one grey channel or RGB, with or without alpha")


def _orientation_behind_pixels(image: PngImageFile) -> int:
    """Orientation of an eXIf chunk that follows the pixels of a PNG; Pillow finds it only after decoding them."""
    file = image.fp
    assert file is not None  # Pillow lets go of it once the pixels are decoded
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
