# SPDX-License-Identifier: Apache-2.0

"""Read the headers of TIFF files, and decide whether Pillow or tifffile decodes the pixels."""

from __future__ import annotations

from typing import IO

from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage

from ...common.errors import InputError

__all__ = ["Source", "is_exact", "tiff_header", "tile_size"]

#: an image whose header has been parsed and whose pixels have not been decoded
Source = ImageFile | TiffPage

_UNSIGNED = 1  # value of the TIFF tag SampleFormat for unsigned integers
_IMAGE_DEPTH = 32997  # number of the TIFF tag ImageDepth


def tiff_header(file: IO[bytes], path: str, page: int) -> Source:
    """Parse the header of a TIFF, as a :py:data:`.headers.HeaderParser`.

    Pillow parses it if it keeps every bit of the file, else tifffile.
    """
    try:
        image = TiffImageFile(file)
        if page:
            image.seek(page)
    except SyntaxError:  # a pixel type that Pillow does not know, or a damaged file, which tifffile will report
        image = None
    if image is not None and is_exact(image):
        tags = image.tag_v2
        _check_depth(path, tags.get(_IMAGE_DEPTH, 1))
        samples, extra = tags.get(Tag.SamplesPerPixel, 1), tags.get(Tag.ExtraSamples, ())
        _check_channels(path, tags.get(Tag.PhotometricInterpretation, 0), samples, extra)
        return image
    file.seek(0)
    tiff = TiffFile(file, name=path)
    tiff_page = tiff.pages[page]
    if not isinstance(tiff_page, TiffPage):
        raise ValueError(f"page {page} has no tags of its own")
    _check_depth(path, tiff_page.imagedepth)
    _check_channels(path, tiff_page.photometric, tiff_page.samplesperpixel, tiff_page.extrasamples)
    return tiff_page


def is_exact(image: TiffImageFile) -> bool:
    """Return whether Pillow keeps every bit of a page of a TIFF."""
    bits = max(image.tag_v2.get(Tag.BitsPerSample, (1,)))
    unsigned = image.tag_v2.get(Tag.SampleFormat, (_UNSIGNED,))[0] == _UNSIGNED
    if bits <= 8:
        return unsigned  # Pillow would read int8 as uint8, so -1 would become 255
    if image.mode in ("I", "F"):
        # Pillow would make uint32 values from 2**31 on negative, and it swaps the bytes of compressed big-endian ones.
        return not (bits == 32 and unsigned) and image.tag_v2.prefix == b"II"
    return len(image.getbands()) == 1  # Pillow would drop the low byte of colors


def tile_size(source: Source) -> tuple[int, int]:
    """Return the height and width of a TIFF's tiles in pixels, or (0, 0) for an image without tiles.

    A decoder always decodes a whole tile.
    """
    if isinstance(source, TiffPage):
        return source.tilelength, source.tilewidth
    if not isinstance(source, TiffImageFile):
        return 0, 0
    height, width = (source.tag_v2.get(tag, 0) for tag in (Tag.TileLength, Tag.TileWidth))
    if not (isinstance(height, int) and isinstance(width, int)):
        raise ValueError("its tiles have no height and width")
    return height, width


def _check_depth(path: str, depth: int) -> None:
    if depth != 1:
        raise InputError(f"{path} has a page of {depth} slices (ImageDepth); save each slice as a page of its own")


def _check_channels(path: str, photometric: int, samples: int, extra: tuple[int, ...]) -> None:
    # Without this check, the second of two stains, or a fourth channel after RGB, would be dropped as if it were alpha.
    is_grey = photometric in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.PALETTE)
    colors = 1 if is_grey else 4 if photometric == PHOTOMETRIC.SEPARATED else 3
    is_alpha = bool({EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA} & set(extra))
    if samples > colors + 1 or (is_grey and samples == 2 and not is_alpha):
        raise InputError(f"{path} has {samples} channels; save one grey channel or RGB, with or without alpha")
