# SPDX-License-Identifier: Apache-2.0

"""Compressed data unpacked to as many bytes as its pixels need: small files can unpack to fill the memory."""

from __future__ import annotations

import copy
import io
import lzma
import math
import zlib
from collections.abc import Callable
from typing import IO, Any

import png
from tifffile import COMPRESSION, TiffPage

__all__ = ["bounded_page", "bounded_png", "unpacked"]

_SPARE = 1 << 20  # bytes beyond the pixels, such as the padding of a last strip
_PART = 1 << 16
_UNPACKERS: dict[int, Callable[[], Any]] = {
    COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
    COMPRESSION.DEFLATE: zlib.decompressobj,
    COMPRESSION.LZMA: lzma.LZMADecompressor,
}


def unpacked(data: bytes, unpacker: Any, limit: int) -> bytes:
    """Unpack data that must not be larger than it should be.

    Args:
        data: compressed.
        unpacker: a new ``zlib.decompressobj`` or ``lzma.LZMADecompressor``.
        limit: the most bytes to make of it.

    Raises:
        ValueError: if there are more.
        zlib.error, lzma.LZMAError: if the data is damaged.
    """
    content: bytes = unpacker.decompress(data, limit + 1)
    if len(content) > limit:
        raise ValueError(f"{len(data)} compressed bytes unpack to more than {limit}, which is all that its pixels need")
    return content


def bounded_png(file: IO[bytes], width: int, height: int) -> IO[bytes]:
    """A PNG with its pixels unpacked within bounds: pypng unpacks all that there is.

    Args:
        file: a PNG, at its start.
        width, height: in pixels, as its header says.

    Returns:
        The same PNG, its pixels not compressed any more.

    Raises:
        ValueError: if it unpacks to more than these pixels.
        png.Error, zlib.error: if it is damaged.
    """
    chunks = list(png.Reader(file=file).chunks())
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    content = unpacked(packed, zlib.decompressobj(), 2 * width * height * 8 + _SPARE)  # four channels of two bytes
    stored, copied = zlib.compress(content, 0), io.BytesIO()
    parts = [(b"IDAT", stored[start : start + _PART]) for start in range(0, len(stored), _PART)]
    others = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    png.write_chunks(copied, [*others, *parts, (b"IEND", b"")])
    copied.seek(0)
    return copied


def bounded_page(page: TiffPage) -> TiffPage:
    """A page of a TIFF whose strips or tiles are unpacked within bounds: tifffile unpacks all that there is.

    Args:
        page: not yet decoded.

    Returns:
        The page, to be decoded by ``asarray``, which raises ``ValueError`` where a strip unpacks to more than its
        pixels, or ends too early.

    Raises:
        ValueError: if it has fewer strips or tiles than its size needs, which would be left black.
    """
    found, needed = len(page.dataoffsets), math.prod(page.chunked)
    if found < needed and not page.is_contiguous:
        raise ValueError(f"{needed - found} of its {needed} strips or tiles are missing")
    if page.dtype is None or page.compression not in (COMPRESSION.PACKBITS, *_UNPACKERS):
        return page
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.imagelength, page.imagewidth)
    limit = rows * columns * page.samplesperpixel * page.dtype.itemsize + _SPARE
    if page.compression == COMPRESSION.PACKBITS:  # makes at most 64 bytes of one
        if max(page.databytecounts) > limit:
            raise ValueError(f"a strip has {max(page.databytecounts)} bytes, which is more than its pixels need")
        return page
    if page.fillorder != 1:
        raise ValueError(f"compressed pixels with FillOrder {page.fillorder} are not supported")
    # What tifffile does with pixels that are not compressed is done with those that are unpacked here.
    stored, bounded = copy.copy(page), copy.copy(page)
    stored.compression = COMPRESSION.NONE
    for name in ("decode", "hash"):  # which depend on it
        stored.__dict__.pop(name, None)
    unpacker = _UNPACKERS[page.compression]

    def decode(data: bytes | None, *args: Any, **options: Any) -> Any:
        return stored.decode(data and _whole(data, unpacker(), limit), *args, **options)

    bounded.__dict__["decode"] = decode
    return bounded


def _whole(data: bytes, unpacker: Any, limit: int) -> bytes:
    content = unpacked(data, unpacker, limit)
    if not unpacker.eof:
        raise ValueError(f"{len(data)} compressed bytes end too early")
    return content
