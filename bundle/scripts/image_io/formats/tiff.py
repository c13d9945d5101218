# SPDX-License-Identifier: Apache-2.0

"""Read the headers of TIFF files, and decide whether Pillow or tifffile decodes the pixels."""

from __future__ import annotations

import json
import math
import re
from typing import IO, cast
from weakref import WeakKeyDictionary

from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import EXTRASAMPLE, FILETYPE, PHOTOMETRIC, TiffFile, TiffPage

from ...common.errors import InputError

__all__ = ["Source", "image_count", "has_unknown_sample", "is_exact", "tiff_header", "tile_size", "turned_tiff"]

#: an image whose header has been parsed and whose pixels have not been decoded
Source = ImageFile | TiffPage

_UNSIGNED = 1  # value of the TIFF tag SampleFormat for unsigned integers
_IMAGE_DEPTH = 32997  # number of the TIFF tag ImageDepth
_NO_IMAGE = FILETYPE.REDUCEDIMAGE | FILETYPE.MASK  # kinds of pages that repeat or mark another page
_OLD_TAG, _OLD_REDUCED = 255, 2  # number of the outdated TIFF tag SubfileType, and its value for a preview


class _Frames(TiffImageFile):
    """A TIFF that Pillow decodes. ``places`` are the numbers of the pages that are images."""

    places: list[int]


#: The numbers of the pages that are images, of every TIFF that tifffile decodes. Its class cannot be extended.
_PLACES: WeakKeyDictionary[TiffFile, list[int]] = WeakKeyDictionary()


def tiff_header(file: IO[bytes], path: str, page: int) -> Source:
    """Parse the header of a TIFF, as a :py:data:`.headers.HeaderParser`.

    Pillow parses it if it keeps every bit of the file, else tifffile.
    """
    try:
        image = _Frames(file)
    except SyntaxError:  # a pixel type that Pillow does not know, or a damaged file, which tifffile will report
        image = None
    is_plain = image is not None and not image.tag_v2.next and Tag.ImageDescription not in image.tag_v2
    file.seek(0)
    places = [0] if is_plain else _places(TiffFile(file, name=path), path)
    if image is not None:
        image.places = places
        if (turned := turned_tiff(path, image, page)) is not None:
            return turned
    file.seek(0)
    tiff = TiffFile(file, name=path)
    _PLACES[tiff] = places
    return _checked_page(path, tiff, page)


def image_count(source: TiffImageFile | TiffPage) -> int:
    """Return the number of images in an opened TIFF. Previews and masks of transparency do not count."""
    return len(_PLACES[source.parent] if isinstance(source, TiffPage) else cast(_Frames, source).places)


def turned_tiff(path: str, source: TiffImageFile | TiffPage, page: int) -> Source | None:
    """Go to another image of an opened TIFF.

    Args:
        path: path of the file, for messages.
        source: an image of the file, from :py:func:`tiff_header`.
        page: number of the image, counted from 0 without previews and masks of transparency.

    Returns:
        The image, or None if Pillow opened the file but would change this image.
    """
    if isinstance(source, TiffPage):
        return _checked_page(path, source.parent, page)
    source.seek(cast(_Frames, source).places[page])
    if not is_exact(source):
        return None
    tags = source.tag_v2
    _check_depth(path, tags.get(_IMAGE_DEPTH, 1))
    samples, extra = tags.get(Tag.SamplesPerPixel, 1), tags.get(Tag.ExtraSamples, ())
    _check_channels(path, tags.get(Tag.PhotometricInterpretation, 0), samples, extra)
    return source


def _checked_page(path: str, tiff: TiffFile, page: int) -> TiffPage:
    tiff_page = tiff.pages[_PLACES[tiff][page]]
    if not isinstance(tiff_page, TiffPage):
        raise ValueError(f"page {page} has no tags of its own")
    _check_depth(path, tiff_page.imagedepth)
    _check_channels(path, tiff_page.photometric, tiff_page.samplesperpixel, tiff_page.extrasamples)
    return tiff_page


def _places(tiff: TiffFile, path: str) -> list[int]:
    """Return the numbers of the pages that are images, and refuse pages that are channels or that have no header."""
    pages = [page for page in tiff.pages if isinstance(page, TiffPage)]
    if len(pages) < len(tiff.pages):
        raise ValueError("some of its pages have no tags of their own")
    channels, planes = _stack(tiff)
    if channels > 1 and len(pages) > 1:
        raise InputError(
            f"{path} has {channels} channels, such as stains, on pages of their own; save one of them as a gray image, "
            "or merge three of them into an RGB image"
        )
    if planes > len(pages):
        raise InputError(
            f"{path} has {planes} pages, but headers of {len(pages)} only, as ImageJ writes stacks above 4 GB; save "
            "each page as an image of its own"
        )
    images = [
        page.index
        for page in pages
        if not page.subfiletype & _NO_IMAGE and page.tags.valueof(_OLD_TAG, 0) != _OLD_REDUCED
    ]
    if tiff.is_svs:  # a scanner's file: levels of a pyramid, a label and an overview follow the image
        return images[:1]
    return images or list(range(len(pages)))


def _stack(tiff: TiffFile) -> tuple[int, int]:
    """Return the number of channels that lie on pages of their own, and the number of pages, as the metadata state."""
    if tiff.is_ome:
        (pixels,) = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", tiff.ome_metadata or "")[:1] or [""]
        sizes = {axis: int(size) for axis, size in re.findall(r'\bSize([CZT])\s*=\s*["\'](\d+)', pixels)}
        channels = sizes.get("C", 1) // tiff.pages.first.samplesperpixel
        stated = channels * sizes.get("Z", 1) * sizes.get("T", 1)
        return channels if len(tiff.pages) >= stated else 1, 1  # other files may hold the other channels
    if tiff.is_imagej:
        facts = tiff.imagej_metadata or {}
        return int(facts.get("channels", 1)), int(facts.get("images", 1))
    if tiff.is_stk:
        return 1, int((tiff.stk_metadata or {}).get("NumberPlanes", 1))
    text = tiff.pages.first.description if tiff.is_shaped else ""  # of tifffile
    facts = json.loads(text) if text.startswith("{") else {}
    shape, axes = facts.get("shape", ()), facts.get("axes", "")
    channels = shape[axes.index("C")] if "C" in axes and len(axes) == len(shape) else 1
    return channels, math.prod(shape) // max(1, math.prod(tiff.pages.first.shape)) if facts.get("truncated") else 1


def is_exact(image: TiffImageFile) -> bool:
    """Return whether Pillow keeps every bit of a page of a TIFF."""
    bits = max(image.tag_v2.get(Tag.BitsPerSample, (1,)))
    unsigned = image.tag_v2.get(Tag.SampleFormat, (_UNSIGNED,))[0] == _UNSIGNED
    samples = image.tag_v2.get(Tag.SamplesPerPixel, 1)
    photometric = image.tag_v2.get(Tag.PhotometricInterpretation, 0)
    if samples > _colors(photometric) and not _has_alpha(image.tag_v2.get(Tag.ExtraSamples, ())):
        return False  # Pillow drops a sample of no declared kind
    if bits <= 8:
        return unsigned  # Pillow would read int8 as uint8, so -1 would become 255
    if image.mode in ("I", "F"):
        # Pillow would make uint32 values from 2**31 on negative, and it swaps the bytes of compressed big-endian ones.
        return not (bits == 32 and unsigned) and image.tag_v2.prefix == b"II"
    return len(image.getbands()) == 1  # Pillow would drop the low byte of colors


def has_unknown_sample(source: Source) -> bool:
    """Return whether the last sample of a pixel is neither a color nor declared to be alpha."""
    return (
        isinstance(source, TiffPage)
        and source.samplesperpixel > _colors(source.photometric)
        and not _has_alpha(source.extrasamples)
    )


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
    # Without this check, the second of two stains would be dropped as if it were alpha.
    colors = _colors(photometric)
    if samples > colors + 1 or (colors == 1 and samples == 2 and not _has_alpha(extra)):
        raise InputError(f"{path} has {samples} channels; save one grey channel or RGB, with or without alpha")


def _colors(photometric: int) -> int:
    if photometric in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.PALETTE):
        return 1
    return 4 if photometric == PHOTOMETRIC.SEPARATED else 3


def _has_alpha(extra: tuple[int, ...]) -> bool:
    return bool({EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA} & set(extra))
