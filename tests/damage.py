# SPDX-License-Identifier: Apache-2.0

"""Damage to image files: each damaged file follows from a seed, and can be made again.

Another file to damage changes only the seeds that choose it.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import struct
import zlib
from collections.abc import Iterable, Iterator

from scripts.image_io.formats.registry import image_suffix, image_suffixes

# where parsers go wrong: nothing, one, the largest of each width and what lies around, negative numbers
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 4096, 32767, 32768, 40000, 65535, 65536, 2**24, 2**31 - 1)
_NUMBERS += (2**31, 2**32 - 1)
_PNG_START = b"\x89PNG\r\n\x1a\n"


def damaged(seed: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """A file of a name and a content that depend on the seed alone."""
    random_ = random.Random(seed)
    name = _chosen(random_, files)
    content = files[name]
    packed = name.endswith(".gz") and random_.random() < 0.8
    if packed:
        content = gzip.decompress(content)
    for _ in range(random_.choice((1, 1, 1, 2, 3, 6))):
        damage = random_.choice(_DAMAGES)
        content = damage(random_, content, files)
    if packed:
        content = gzip.compress(content, 1, mtime=0)
    suffix = image_suffix(name)
    if random_.random() < 0.15:
        suffix = _chosen(random_, (*image_suffixes(), "", ".PNG", ".txt"))
    return f"{seed}{suffix}", content


def _chosen(random_: random.Random, names: Iterable[str]) -> str:
    """The name with the largest hash, so that another name changes a choice only if that name is chosen."""
    salt = random_.random()
    return max(names, key=lambda name: hashlib.sha256(f"{salt} {name}".encode()).digest())


def _place(random_: random.Random, size: int) -> int:
    """Mostly in the header, which is where it hurts."""
    return random_.randrange(max(1, min(size, random_.choice((16, 64, 400, size)))))


def flip_bits(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 8, 32)) if changed else 0):
        changed[_place(random_, len(changed))] ^= 1 << random_.randrange(8)
    return bytes(changed)


def truncate(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    return content[: random_.randrange(len(content) + 1)]


def remove(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    start = _place(random_, len(content))
    return content[:start] + content[start + random_.randrange(1, 64) :]


def splice(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    other = files[_chosen(random_, files)]
    start, place = random_.randrange(len(other)), _place(random_, len(content))
    part = other[start : start + random_.choice((4, 12, 64, 1000))]
    return content[:place] + part + content[place + random_.choice((0, len(part))) :]


def repeat(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    start, length = _place(random_, len(content)), random_.randrange(1, 200)
    return content[:start] + content[start : start + length] * random_.choice((2, 3, 50)) + content[start + length :]


def set_number(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    width, number = random_.choice(((2, "H"), (4, "I"), (8, "Q"))), random_.choice(_NUMBERS)
    place = _place(random_, len(content)) & (~1 if random_.random() < 0.8 else ~0)
    packed = struct.pack(random_.choice("<>") + width[1], number % 256 ** width[0])
    return content[:place] + packed + content[place + width[0] :]


def _set_tag(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another type, count or value of an entry of a TIFF, wherever its directory lies."""
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None or len(content) < 16 or content[2:4] not in (b"*\0", b"\0*"):
        return set_number(random_, content, files)
    (start,) = struct.unpack_from(order + "I", content, 4)
    if start + 2 > len(content):
        return content
    (count,) = struct.unpack_from(order + "H", content, start)
    entry = start + 2 + 12 * random_.randrange(max(1, min(count, 40)))
    offset, kind = random_.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I"), (8, "H")))
    packed = struct.pack(order + kind, random_.choice(_NUMBERS) % 256 ** struct.calcsize(kind))
    return content[: entry + offset] + packed + content[entry + offset + len(packed) :]


def _change_chunk(random_: random.Random, content: bytes, files: dict[str, bytes]) -> bytes:
    """Another content of a chunk of a PNG, with the checksum that belongs to it."""
    if not content.startswith(_PNG_START):
        return flip_bits(random_, content, files)
    chunks = list(_chunks(content))
    if not chunks:
        return content
    i = random_.randrange(len(chunks))
    kind, data = chunks[i]
    action = random_.choice(("change", "change", "change", "double", "drop", "swap", "inflate"))
    if action == "change":
        chunks[i] = kind, random_.choice((flip_bits, set_number, truncate))(random_, data, files)
    elif action == "double":
        chunks.insert(i, chunks[i])
    elif action == "drop":
        del chunks[i]
    elif action == "inflate":
        text = zlib.compress(bytes(random_.choice((10, 10**6, 10**7))), 9)
        chunks.insert(i, random_.choice(((b"zTXt", b"a\0\0" + text), (b"iCCP", b"a\0\0" + text), (b"IDAT", text))))
        chunks.insert(i, (b"iTXt", b"a\0\1\0\0\0" + text))
    else:
        other = random_.randrange(len(chunks))
        chunks[i], chunks[other] = chunks[other], chunks[i]
    return _PNG_START + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG_START)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, content[place + 8 : place + 8 + length]
        place += length + 12


_DAMAGES = (flip_bits, flip_bits, truncate, remove, splice, repeat, set_number, set_number)
_DAMAGES += (_set_tag, _set_tag, _change_chunk, _change_chunk)
