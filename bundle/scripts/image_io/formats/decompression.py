# SPDX-License-Identifier: Apache-2.0

"""Unpack compressed data to no more bytes than its pixels need, as a small file can unpack to fill the memory."""

from __future__ import annotations

import copy
import io
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import png
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

__all__ = ["bounded_page", "bounded_png", "check_png", "unpacked"]

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


def check_png(file: IO[bytes], width: int, height: int) -> None:
    """Check that the pixels of a PNG are complete and have the checksum that the file states.

    Pillow does not check it. It fills up pixels that are missing, and takes what comes out of damaged data.

    Args:
        file: an opened PNG file. Its position stays as it is.
        width, height: size of the image in pixels, as the header of the PNG states it.

    Raises:
        ValueError: if the pixels end too early, or unpack to more bytes than ``width`` x ``height`` pixels need.
        zlib.error: if the pixels are damaged.
    """
    position, unpacker = file.tell(), zlib.decompressobj()
    spare = 2 * width * height * 8 + _SPARE
    for part in _pixel_parts(file):
        while part and not unpacker.eof:
            spare -= len(unpacker.decompress(part, _PART))
            part = unpacker.unconsumed_tail
            if spare < 0:
                raise ValueError("it unpacks to more bytes than its pixels need")
    if not unpacker.eof:
        raise ValueError("its pixels end too early")
    file.seek(position)


def _pixel_parts(file: IO[bytes]) -> Iterator[bytes]:
    """Read the compressed pixels of a PNG in small parts."""
    start, kind = 8, b""
    while kind != b"IEND":
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        if kind == bytes(4):  # the end of the file, or of what is left of it
            return
        for begin in range(0, length if kind == b"IDAT" else 0, _PART):
            yield file.read(min(_PART, length - begin))
        start += 8 + length + 4


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
    if page.dtype is None or page.compression not in (COMPRESSION.PACKBITS, COMPRESSION.LZW, *_UNPACKERS):
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
    item = page.dtype.itemsize

    def unpack(data: bytes, index: int) -> bytes:
        if page.compression == COMPRESSION.LZW:
            return _of_lzw(data, math.prod(stored.decode(None, index)[2]) * item)
        return _whole(data, _UNPACKERS[page.compression](), limit)

    def decode(data: bytes | None, index: int, **options: Any) -> Any:
        return stored.decode(data and unpack(data, index), index, **options)

    bounded.__dict__["decode"] = decode
    return bounded


def _whole(data: bytes, unpacker: Any, limit: int) -> bytes:
    """Unpack data that must be complete."""
    content = unpacked(data, unpacker, limit)
    if not unpacker.eof:
        raise ValueError(f"{len(data)} compressed bytes end too early")
    return content


def _of_lzw(data: bytes, size: int) -> bytes:
    """Unpack a strip or tile of a TIFF that is compressed by LZW.

    tifffile needs another package for LZW. Pillow has libtiff, which unpacks bytes of any meaning where they are the
    only row of a gray image.

    Args:
        data: the compressed strip or tile.
        size: number of bytes of the unpacked one. What follows them is not unpacked.

    Raises:
        OSError: if the data is damaged.
    """
    tags = {
        Tag.ImageWidth: size,
        Tag.ImageLength: 1,
        Tag.BitsPerSample: 8,
        Tag.Compression: COMPRESSION.LZW,
        Tag.PhotometricInterpretation: PHOTOMETRIC.MINISBLACK,
        Tag.StripOffsets: 0,
        Tag.SamplesPerPixel: 1,
        Tag.RowsPerStrip: 1,
        Tag.StripByteCounts: len(data),
    }
    start = 8 + 2 + 12 * len(tags) + 4  # bytes of the header, and of the directory of tags with its two ends
    tags[Tag.StripOffsets] = start
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    with TiffImageFile(io.BytesIO(header + directory + bytes(4) + data)) as row:
        return row.tobytes()
