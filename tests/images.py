# SPDX-License-Identifier: Apache-2.0

"""Small image files for tests: not square, and with a marker in the top left corner."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import png
import tifffile
from PIL import Image, ImageDraw

HEIGHT, WIDTH = 16, 24
ORIENTATION = 274  # the EXIF tag


def marked(channels: int | None = None, dtype: str = "uint8", value: int = 255) -> np.ndarray:
    """Zeros with ``value`` in the top left 4 rows x 6 columns: (16, 24) or (16, 24, channels)."""
    pixels = np.zeros((HEIGHT, WIDTH) if channels is None else (HEIGHT, WIDTH, channels), dtype=dtype)
    pixels[:4, :6] = value
    return pixels


def ramp(*shape: int, dtype: str = "uint16", step: int = 257) -> np.ndarray:
    """Values that differ in their low byte too."""
    return (np.arange(np.prod(shape)) * step % 65521).astype(dtype).reshape(shape)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    """Write up to 8 bits by Pillow, converted to ``mode``; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def opened(path: Path) -> Image.Image:
    """An image whose file is read and closed."""
    with Image.open(path) as image:
        return image.copy()


def save_palette(path: Path, indices: np.ndarray, colors: list[int]) -> Path:
    """Write palette indices with ``colors`` as r, g, b, r, g, b, ..."""
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(colors)
    image.save(path, optimize=False)  # which would number the colors anew
    return path


def save_png(path: Path, pixels: np.ndarray, bits: int = 16, **options) -> Path:
    """Write any depth of PNG, (H, W) grey or (H, W, C)."""
    height, width, *channels = pixels.shape
    planes = channels[0] if channels else 1
    options |= {"greyscale": planes < 3, "alpha": planes in (2, 4), "bitdepth": bits}
    with path.open("wb") as file:
        png.Writer(width, height, **options).write(file, pixels.reshape(height, -1).tolist())
    return path


def save_tiff(path: Path, pixels: np.ndarray, **options) -> Path:
    """Write any type of TIFF."""
    tifffile.imwrite(path, pixels, **options)
    return path


def stored_as(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores ``pixels`` under an EXIF orientation: the inverse of showing them upright."""
    flips = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1)}
    turns = {6: np.rot90, 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, -1)}
    return np.ascontiguousarray((flips | turns).get(orientation, np.asarray)(pixels))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def late_exif(orientation: int) -> bytes:
    return _chunk(b"eXIf", exif(orientation).tobytes().removeprefix(b"Exif\0\0"))


def add_behind_pixels(path: Path, chunk: bytes) -> Path:
    """Put a chunk at the end of a PNG."""
    data = path.read_bytes()
    path.write_bytes(data.removesuffix(_chunk(b"IEND")) + chunk + _chunk(b"IEND"))
    return path


def empty_png(path: Path, width: int, height: int) -> Path:
    """A PNG header of any size with no pixels behind it."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IEND"))
    return path


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_blobs(folder: Path, count: int, seed: int = 0) -> Path:
    """An own folder of small images of many sizes, RGB PNG and gray JPEG, each with one bright blob."""
    random = np.random.RandomState(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        width, height = (int(side) for side in random.randint(40, 90, 2))
        box = [width // 4, height // 4, width // 4 + int(width * 0.45), height // 4 + int(height * 0.45)]
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        noise = random.randint(0, 60, (height, width, 3))
        pixels = noise + np.asarray(mask)[..., None] // 2
        image = Image.fromarray(pixels.astype(np.uint8))
        name = f"case {i:02d}"
        image.save(folder / "images" / f"{name}.png") if i % 2 else image.convert("L").save(
            folder / "images" / f"{name}.jpg", quality=95
        )
        mask.save(folder / "masks" / f"{name}.png")
    return folder
