# SPDX-License-Identifier: Apache-2.0

"""Decode the pixels of 2D image files exactly as they are stored, in (H, W) order and upright.

Other modules decide what the values mean: :py:mod:`..readers` takes them for intensities, and :py:mod:`..mask_rules`
takes them for label ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import png
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as Tag
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import PHOTOMETRIC, TiffPage

from ...common.errors import InputError
from .decompression import bounded_page, bounded_png, check_png
from .headers import HeaderParser, open_image, orientation, page_count, turned_to, upright_size
from .tiff import Source, has_unknown_sample, tile_size

__all__ = ["OpenedFile", "Pixels", "check_size", "decode", "open_raster"]

# Layouts of PNG of which Pillow keeps only one of two bytes.
_DEEP_PNG = ("LA;16B", "RGB;16B", "RGBA;16B")


class Pixels(NamedTuple):
    """The stored pixels of one image.

    Attributes:
        values: (H, W) grey values or palette indices, (H, W, 2) grey and alpha, (H, W, 3) RGB, or (H, W, 4) RGB and
            alpha. The type is uint8 for up to 8 bits, and another integer type or finite floats for more bits. The
            array is writable, as PyTorch demands it.
        full_scale: 1, 3 or 15 for files of 1, 2 or 4 bits, which is the largest value that they can store; 255 for all
            other files.
        palette: (256, 3) uint8 colors of the palette indices, or (256, 4) colors and alpha; None without a palette.
        lossy: whether compression, such as that of JPEG, has changed the values.
        inverted: whether the file stores white as zero, in more than 1 bit. ``values`` are as they are shown then: full
            scale minus what is stored.
        padding: (H, W) bool, the pixels that the file declares to be no part of the image; None if it declares none.
    """

    values: NDArray[Any]
    full_scale: int = 255
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False
    inverted: bool = False
    padding: NDArray[np.bool_] | None = None


class OpenedFile(NamedTuple):
    """An opened image file of any format. Its header has been read, and its pixels have not.

    Attributes:
        pages: number of pages, frames or slices; 0 for a file that holds no image.
        size: (H, W) of the first page in pixels, upright.
        decode: decodes the pixels of all pages. The caller must check ``pages`` and ``size`` before. The argument is
            the largest number of pixels of a page. A format whose pages can differ in size must check every page
            against it before decoding the page.
    """

    pages: int
    size: tuple[int, int]
    decode: Callable[[int], list[Pixels]]


def check_size(path: str, size: tuple[int, int], pages: int, max_pixels: int) -> None:
    """Check the size of an image before it is decoded, as a small file can hold a huge image.

    Args:
        path: path of the file, for messages.
        size: (H, W) of a page in pixels.
        pages: number of pages of that size.
        max_pixels: largest number of pixels of all pages together.

    Raises:
        InputError: if there are more pixels than that, or if the number of pages, the height or the width is below 1.
            Two negative numbers would have a harmless product.
    """
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"{path} has {width} x {height} pixels, so it is damaged; get a new copy")
    if pages < 1:
        raise InputError(f"{path} has {pages} pages, frames or slices, so it is damaged; get a new copy")
    if height * width * pages > max_pixels:
        of_pages = f" on each of {pages} pages, frames or slices" if pages > 1 else ""
        raise InputError(
            f"{path} has {width} x {height} pixels{of_pages}, more than max_pixels={max_pixels}; "
            "crop or shrink it, or raise max_pixels if you trust the file"
        )


@contextmanager
def open_raster(path: str, parse: HeaderParser) -> Iterator[OpenedFile]:
    """Read the header of a file that Pillow or tifffile decodes.

    Args:
        path: path of the file.
        parse: the parser for the format of the file.

    Yields:
        The opened file. It can be decoded within the ``with`` block only.

    Raises:
        InputError: if the file cannot be read.
    """
    with open_image(path, parse) as source:
        pages = page_count(source)

        def decode_all(max_pixels: int) -> list[Pixels]:
            decoded = [_decode_checked(path, source, max_pixels)]
            for page in range(1, pages):
                turned = turned_to(path, source, page)
                if turned is not None:
                    decoded.append(_decode_checked(path, turned, max_pixels))
                    continue
                with open_image(path, parse, page) as by_itself:
                    decoded.append(_decode_checked(path, by_itself, max_pixels))
            return decoded

        yield OpenedFile(pages, upright_size(source), decode_all)


def _decode_checked(path: str, source: Source, max_pixels: int) -> Pixels:
    size = upright_size(source)  # before decoding, which makes Pillow forget the header
    check_size(path, size, 1, max_pixels)
    rows, columns = tile_size(source)
    if rows * columns > max_pixels:
        raise InputError(
            f"{path} is stored in tiles of {columns} x {rows} pixels, more than max_pixels={max_pixels}; save it anew, "
            "without tiles"
        )
    has_unknown, pixels = has_unknown_sample(source), decode(source)
    if has_unknown and pixels.values.ndim == 3 and np.ptp(pixels.values[..., -1]) > 0:
        raise InputError(
            f"{path} has a channel more than its colors, which varies and is not declared to be alpha; save one grey "
            "channel or RGB, with or without alpha"
        )
    if pixels.values.shape[:2] != size:
        height, width = size
        raise InputError(f"{path} has other pixels than the {width} x {height} of its header; get a new copy")
    return pixels


def decode(source: Source) -> Pixels:
    """Decode the pixels of an opened image.

    Args:
        source: image from :py:func:`.headers.open_image`, within its ``with`` block.
    """
    return _decode_page(source) if isinstance(source, TiffPage) else _decode(source)


def _decode(source: ImageFile) -> Pixels:
    layout = _stored_layout(source)
    if source.format == "PNG":
        assert source.fp is not None  # Pillow closes the file only when it decodes the pixels
        check_png(source.fp, source.width, source.height)
    turn = 1 if isinstance(source, TiffImageFile) else orientation(source)  # Pillow turns a TIFF itself
    if layout in _DEEP_PNG:
        return Pixels(_upright(_decode_deep_png(source), turn))
    # These are read before decoding, as Pillow closes the file then and forgets the header.
    is_jpeg_in_tiff = source.info.get("compression") == "jpeg"
    is_inverted = (
        isinstance(source, TiffImageFile)
        and source.mode != "1"
        and source.tag_v2.get(Tag.PhotometricInterpretation) == PHOTOMETRIC.MINISWHITE
    )
    transparency = source.info.get("transparency")
    is_supported = source.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "I;16B", "F")
    image = source if is_supported else source.convert("RGB")
    values = _upright(np.array(image), turn)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if image.mode == "1":
        return Pixels(values.astype(np.uint8), full_scale=1)
    if image.mode == "P":
        return Pixels(values, palette=_palette(image, transparency))
    full_scale = 3 if layout.startswith("L;2") else 15 if layout.startswith("L;4") else 255
    if full_scale < 255:
        values = values // (255 // full_scale)  # undoes Pillow's stretching to 0..255
    if is_inverted and layout.startswith("I;16"):  # Pillow itself inverts all other layouts
        values = 65535 - values
    if transparency is not None and image.mode in ("L", "I", "I;16", "RGB"):
        values = _with_alpha(values, transparency)
    return Pixels(values, full_scale, lossy=is_jpeg_in_tiff, inverted=is_inverted)


def _palette(image: Image.Image, transparency: int | bytes | None) -> NDArray[np.uint8]:
    """Return the colors of the palette indices, (256, 3), or (256, 4) with alpha where an index is transparent."""
    colors = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    palette = np.pad(colors, ((0, 256 - len(colors)), (0, 0)))
    if transparency is None:
        return palette
    alpha = np.full((256, 1), 255, dtype=np.uint8)
    if isinstance(transparency, bytes):  # of the first indices
        alpha[: len(transparency), 0] = list(transparency)
    else:
        alpha[transparency] = 0
    return np.hstack([palette, alpha])


def _with_alpha(values: NDArray[Any], transparent: int | tuple[int, ...]) -> NDArray[Any]:
    """Add an alpha channel to grey or RGB in which one value is transparent."""
    channels = values if values.ndim == 3 else values[..., None]
    is_opaque = (channels != np.array(transparent)).any(-1, keepdims=True)
    return np.concatenate([channels, is_opaque * np.array(np.iinfo(values.dtype).max, values.dtype)], axis=-1)


def _stored_layout(source: ImageFile) -> str:
    """Return how a PNG or TIFF stores its pixels, which is Pillow's "raw mode", such as "L;4" or "RGB;16B".

    It is "" for other formats.
    """
    if source.format not in ("PNG", "TIFF"):
        return ""
    arguments = source.tile[0].args
    return arguments[0] if isinstance(arguments, tuple) else str(arguments)


def _decode_deep_png(source: ImageFile) -> NDArray[np.uint16]:
    assert source.fp is not None  # Pillow closes the file only when it decodes the pixels
    source.fp.seek(0)
    file = bounded_png(source.fp, source.width, source.height)
    width, height, rows, info = png.Reader(file=file).read()
    values = np.vstack([np.asarray(row, dtype=np.uint16) for row in rows]).reshape(height, width, info["planes"])
    return _with_alpha(values, info["transparent"]) if "transparent" in info else values


def _decode_page(page: TiffPage) -> Pixels:
    values = bounded_page(page).asarray()
    is_color = page.photometric == PHOTOMETRIC.RGB
    is_inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    if values.dtype.kind not in "uif" or not (is_color or is_inverted or page.photometric == PHOTOMETRIC.MINISBLACK):
        raise ValueError(f"{values.dtype} pixels with photometric interpretation {page.photometric} are not supported")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"axes {page.axes} are not supported")
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] == 1:  # grey, in a file that calls itself RGB
        values = values[..., 0]
    is_inverted = is_inverted and values.dtype.kind == "u"
    if is_inverted:
        values = np.iinfo(values.dtype).max - values
    return Pixels(_upright(values, orientation(page)), inverted=is_inverted)


def _upright(values: NDArray[Any], turn: int) -> NDArray[Any]:
    """Turn an array upright. Its first two axes are rows and columns, and ``turn`` is its EXIF orientation."""
    if turn >= 5:
        values = values.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)
