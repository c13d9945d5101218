# SPDX-License-Identifier: Apache-2.0

"""Unpack compressed data to no more bytes than its pixels need, as a small file can unpack to fill the memory."""

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

_SPARE = 1 << 20  # bytes allowed beyond the pixels, such as the padding of the last strip
_PART = 1 << 16  # bytes in a chunk of the copied PNG
_UNPACKERS: dict[int, Callable[[], Any]] = {
    COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
    COMPRESSION.DEFLATE: zlib.decompressobj,
    COMPRESSION.LZMA: lzma.LZMADecompressor,
}


def unpacked(data: bytes, unpacker: Any, limit: int) -> bytes:
    """Unpack data, and refuse data that unpacks to more bytes than a limit.

    Args:
        data: the compressed data.
        unpacker: a new ``zlib.decompressobj`` or ``lzma.LZMADecompressor``.
        limit: largest number of bytes of the unpacked data.

    Returns:
        The unpacked data.

    Raises:
        ValueError: if the data unpacks to more bytes than ``limit``.
        zlib.error, lzma.LZMAError: if the data is damaged.
    """
    content: bytes = unpacker.decompress(data, limit + 1)
    if len(content) > limit:
        raise ValueError(f"{len(data)} compressed bytes unpack to more than {limit}, which is all that its pixels need")
    return content


def bounded_png(file: IO[bytes], width: int, height: int) -> IO[bytes]:
    """Copy a PNG with its pixels unpacked, and refuse a PNG that unpacks to more bytes than its pixels need.

    pypng has no such limit: it unpacks everything that the file holds.

    Args:
        file: a PNG file, opened and at its start.
        width, height: size of the image in pixels, as the header of the PNG states it.

    Returns:
        The same PNG, in which the pixels are not compressed any more.

    Raises:
        ValueError: if the PNG unpacks to more bytes than ``width`` x ``height`` pixels need.
        png.Error, zlib.error: if the PNG is damaged.
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
    """Return a page of a TIFF whose strips or tiles are refused where they unpack to more bytes than their pixels need.

    tifffile has no such limit: it unpacks everything that a strip or tile holds.

    Args:
        page: the page, not yet decoded.

    Returns:
        The page. Decode it with ``asarray``, which raises ``ValueError`` where a strip or tile unpacks to more bytes
        than its pixels need, or ends too early.

    Raises:
        ValueError: if the page has fewer strips or tiles than its size needs. tifffile would leave them black.
    """
    stored_count, needed = len(page.dataoffsets), math.prod(page.chunked)
    if stored_count < needed and not page.is_contiguous:
        raise ValueError(f"{needed - stored_count} of its {needed} strips or tiles are missing")
    if page.dtype is None or page.compression not in (COMPRESSION.PACKBITS, *_UNPACKERS):
        return page
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.imagelength, page.imagewidth)
    limit = rows * columns * page.samplesperpixel * page.dtype.itemsize + _SPARE
    if page.compression == COMPRESSION.PACKBITS:  # unpacks a byte to at most 64 bytes
        if max(page.databytecounts) > limit:
            raise ValueError(f"a strip has {max(page.databytecounts)} bytes, which is more than its pixels need")
        return page
    if page.fillorder != 1:
        raise ValueError(f"compressed pixels with FillOrder {page.fillorder} are not supported")
    # This module unpacks the pixels; a copy of the page without compression lets tifffile do the rest of the decoding.
    stored, bounded = copy.copy(page), copy.copy(page)
    stored.compression = COMPRESSION.NONE
    for name in ("decode", "hash"):  # cached values that depend on the compression
        stored.__dict__.pop(name, None)
    unpacker = _UNPACKERS[page.compression]

    def decode(data: bytes | None, *args: Any, **options: Any) -> Any:
        return stored.decode(data and _whole(data, unpacker(), limit), *args, **options)

    bounded.__dict__["decode"] = decode
    return bounded


def _whole(data: bytes, unpacker: Any, limit: int) -> bytes:
    """Unpack data that must be complete."""
    content = unpacked(data, unpacker, limit)
    if not unpacker.eof:
        raise ValueError(f"{len(data)} compressed bytes end too early")
    return content
