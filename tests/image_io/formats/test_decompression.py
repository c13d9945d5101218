# SPDX-License-Identifier: Apache-2.0

"""Small files that unpack to large ones are refused, and sound ones are unpacked bit for bit."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import png
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit
from tifffile import COMPRESSION

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.decompression import bounded_page, bounded_png, check_png, unpacked
from scripts.image_io.pages import read_pages
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from volumes import save_dicom
from workflows import BUNDLE

UNPACKED = 600 * 2**20  # bytes
ALLOWED = 300 * 2**20  # more than any of these images takes, and half of what it unpacks to

#: deep, not square, and of many values
PIXELS = images.ramp(images.HEIGHT, images.WIDTH, 3)


def deflated() -> bytes:
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(UNPACKED // 2**20)) + packer.flush()


def png_of(path: Path, *chunks: tuple[bytes, bytes], depth: int = 8) -> None:
    header = struct.pack(">IIBBBBB", images.WIDTH, images.HEIGHT, depth, 2, 0, 0, 0)
    rows = zlib.compress(bytes(images.HEIGHT * (1 + images.WIDTH * 3 * depth // 8)))
    pixels = [] if any(kind == b"IDAT" for kind, _ in chunks) else [(b"IDAT", rows)]
    with path.open("wb") as file:
        png.write_chunks(file, [(b"IHDR", header), *chunks, *pixels, (b"IEND", b"")])


def tiff_of(path: Path, strip: bytes, dtype: str, compression: COMPRESSION) -> None:
    """A TIFF with one strip of given bytes."""
    tifffile.imwrite(path, images.marked(dtype=dtype), compression="zlib", metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        values = {"StripOffsets": len(content), "StripByteCounts": len(strip), "Compression": compression}
        for name, value in values.items():
            struct.pack_into("<HHII", content, tags[name].offset, tags[name].code, 4, 1, value)
    path.write_bytes(bytes(content) + strip)


def gzipped_nifti(path: Path, offset: float, extension: int, packed: bytes) -> None:
    """A volume whose voxels begin at ``offset``, behind an extension of that many bytes: zeros."""
    header = nib.Nifti1Header()
    header.set_data_shape((4, 4))
    header["magic"], header["vox_offset"] = b"n+1", offset
    start = header.structarr.tobytes() + b"\1\0\0\0" + struct.pack("<ii", extension, 4)
    path.write_bytes(gzip.compress(start) + b"\x1f\x8b\x08" + bytes(7) + packed[2:-4] + struct.pack(
        "<II", zlib.crc32(b""), UNPACKED % 2**32
    ))


def dicom_of(path: Path, packed: bytes) -> None:
    save_dicom(path, images.marked())
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(path)
    content = path.read_bytes()
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, False)
        pydicom.filereader._read_file_meta_info(file)
        start = file.tell()
    path.write_bytes(content[:start] + packed[2:-4])


def dicom_with_a_jpeg(path: Path, side: int) -> None:
    save_dicom(path, images.marked())
    jpeg = BytesIO()
    Image.new("L", (side, side)).save(jpeg, "JPEG")
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([jpeg.getvalue()])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.save_as(path)


@pytest.mark.parametrize(
    "pack, unpacker",
    [(zlib.compress, zlib.decompressobj), (lzma.compress, lzma.LZMADecompressor)],
    ids=["zlib", "lzma"],
)
def test_as_many_bytes_as_the_pixels_need_are_unpacked_and_no_more(pack, unpacker):
    content = bytes(range(256)) * 16
    assert unpacked(pack(content), unpacker(), 4096) == unpacked(pack(content), unpacker(), 4097) == content
    packed = pack(content + b"0")
    with pytest.raises(ValueError, match=f"^{len(packed)} compressed bytes unpack to more than 4096,"):
        unpacked(packed, unpacker(), 4096)


def test_damaged_data_is_refused():
    with pytest.raises(zlib.error):
        unpacked(b"no stream", zlib.decompressobj(), 10)


def test_a_bounded_png_has_the_same_pixels_and_other_chunks(tmp_path):
    path = images.save_png(tmp_path / "a.png", PIXELS)
    images.add_behind_pixels(path, images.late_exif(6))
    with path.open("rb") as file:
        copied = bounded_png(file, images.WIDTH, images.HEIGHT)
    assert [kind for kind, _ in png.Reader(file=copied).chunks()] == [b"IHDR", b"eXIf", b"IDAT", b"IEND"]
    copied.seek(0)
    _, _, rows, info = png.Reader(file=copied).read()
    assert info["bitdepth"] == 16
    np.testing.assert_array_equal(np.vstack(list(rows)).reshape(PIXELS.shape), PIXELS)


@pytest.mark.parametrize("spare, is_refused", [(0, False), (1, True)])
def test_a_png_may_unpack_to_a_mebibyte_more_than_its_pixels(spare, is_refused, tmp_path):
    pixels = 2 * images.WIDTH * images.HEIGHT * 8
    png_of(tmp_path / "a.png", (b"IDAT", zlib.compress(bytes(pixels + 2**20 + spare))))
    with (tmp_path / "a.png").open("rb") as file:
        if is_refused:
            with pytest.raises(ValueError, match=f"unpack to more than {pixels + 2**20}, which"):
                bounded_png(file, images.WIDTH, images.HEIGHT)
        else:
            assert bounded_png(file, images.WIDTH, images.HEIGHT).read(8) == b"\x89PNG\r\n\x1a\n"


def damaged(content: bytes, kind: str) -> bytes:
    """Damage the pixels of a PNG, which lie in one chunk."""
    start = content.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", content[start - 8 : start - 4])
    pixels, rest = content[start : start + length], content[start + length + 4 :]
    if kind == "cut":
        return content[: start + length // 2]
    if kind == "zeros":
        return content[: start + length // 2].ljust(len(content), b"\0")
    if kind == "checksum":
        pixels = pixels[:-1] + bytes([pixels[-1] ^ 1])
    elif kind == "bit":
        pixels = pixels[: length // 2] + bytes([pixels[length // 2] ^ 4]) + pixels[length // 2 + 1 :]
    elif kind == "short":
        pixels = zlib.compress(zlib.decompress(pixels))[:-6]
    size, check = struct.pack(">I", len(pixels)), struct.pack(">I", zlib.crc32(b"IDAT" + pixels))
    return content[: start - 8] + size + b"IDAT" + pixels + check + rest


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["cut", "zeros", "checksum", "bit", "short"])
def test_a_png_with_damaged_pixels_is_refused(kind, bits, tmp_path):
    noise = np.random.default_rng(0).integers(0, 2**bits, (40, 50, 3)).astype(f"uint{bits}")
    path = images.save_png(tmp_path / "a.png", noise, bits)
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, kind))
    for reader in (ImageFileReader(), MaskFileReader(2)):
        with pytest.raises(InputError, match="a.png cannot be read .*; get a new copy"):
            reader.get_data([str(path)])
    path.write_bytes(damaged(whole, "not at all"))
    np.testing.assert_array_equal(read_pages(str(path), 10**4)[0].values, noise)
    path.write_bytes(whole.removesuffix(whole[-12:]))  # without its end, but with all of its pixels
    if bits == 8:
        np.testing.assert_array_equal(read_pages(str(path), 10**4)[0].values, noise)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB"])
@pytest.mark.parametrize("count", [1, 7])
def test_a_sound_png_is_checked_in_one_chunk_or_several(count, mode, tmp_path):
    Image.fromarray(images.ramp(40, 60, 3, dtype="uint8")).convert(mode).save(tmp_path / "a.png")
    chunks = list(png.Reader(bytes=(tmp_path / "a.png").read_bytes()).chunks())
    pixels = b"".join(data for kind, data in chunks if kind == b"IDAT")
    step = len(pixels) // count + 1
    parts = [(b"IDAT", pixels[start : start + step]) for start in range(0, len(pixels), step)]
    with (tmp_path / "a.png").open("wb") as file:
        others = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
        png.write_chunks(file, [*others, *parts, (b"IEND", b"")])
    with (tmp_path / "a.png").open("rb") as file:
        file.seek(33)
        check_png(file, 60, 40)
        assert file.tell() == 33


def test_a_zipped_volume_is_read_to_its_checksum(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, (24, 16, 1)).astype(np.uint8)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii.gz")
    assert read_pages(str(tmp_path / "a.nii.gz"), 10**4)
    content = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(content[:-8] + b"\1\2\3\4" + content[-4:])
    with pytest.raises(InputError, match="a.nii.gz cannot be read as NIfTI .CRC check failed.*get a new copy"):
        read_pages(str(tmp_path / "a.nii.gz"), 10**4)


@pytest.mark.parametrize("options", [{"rowsperstrip": 5}, {"tile": (16, 16)}, {"predictor": True}], ids=str)
@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_a_bounded_page_has_the_same_pixels(compression, options, tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", PIXELS, photometric="rgb", compression=compression, **options)
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(bounded_page(file.pages.first).asarray(), PIXELS)


def of_lzw(content: bytes) -> bytes:
    """Compress bytes as Pillow's libtiff does."""
    file = BytesIO()
    Image.frombytes("L", (len(content), 1), content).save(file, "TIFF", compression="tiff_lzw", strip_size=1 << 30)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        return file.getvalue()[page.dataoffsets[0] :][: page.databytecounts[0]]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options", [{"rowsperstrip": 5}, {"tile": (16, 16)}, {"rowsperstrip": 5, "predictor": True}], ids=str
)
def test_deep_colors_are_read_from_lzw(options, byteorder, tmp_path):
    padded = np.pad(PIXELS, ((0, 0), (0, 8), (0, 0)))
    if "tile" in options:
        parts = [padded[:, :16], padded[:, 16:]]
    else:
        parts = [PIXELS[row : row + 5] for row in range(0, images.HEIGHT, 5)]
    if "predictor" in options:
        parts = [np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1])) for part in parts]
    packed = [of_lzw(part.astype(f"{byteorder}u2").tobytes()) for part in parts]
    path = tmp_path / "a.tif"
    about = {"shape": PIXELS.shape, "dtype": f"{byteorder}u2", "byteorder": byteorder, "photometric": "rgb"}
    tifffile.imwrite(path, iter(packed), compression="zlib", metadata=None, **about, **options)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages.first.tags["Compression"].valueoffset
    content[place : place + 2] = struct.pack(f"{byteorder}H", COMPRESSION.LZW)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_pages(str(path), 10**4)[0].values, PIXELS)
    content[content.find(packed[0]) + 20] ^= 255
    path.write_bytes(content.replace(packed[-1], bytes(len(packed[-1]))))
    with pytest.raises(InputError, match="a.tif cannot be read"):
        read_pages(str(path), 10**4)


def test_packbits_are_bounded_by_what_they_hold(tmp_path):
    path = images.save(tmp_path / "a.tif", images.ramp(images.HEIGHT, images.WIDTH, 3, dtype="uint8"))
    with Image.open(path) as image:
        image.save(path, compression="packbits")
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.compression == COMPRESSION.PACKBITS
        np.testing.assert_array_equal(bounded_page(file.pages.first).asarray(), images.opened(path))
    limit = images.WIDTH * images.HEIGHT * 8 + 2**20
    for length in (limit, limit + 1):
        tiff_of(tmp_path / "b.tif", bytes(length), "float64", COMPRESSION.PACKBITS)
        with tifffile.TiffFile(tmp_path / "b.tif") as file:
            if length == limit:
                assert bounded_page(file.pages.first) is file.pages.first
            else:
                with pytest.raises(ValueError, match=f"^a strip has {length} bytes, "):
                    bounded_page(file.pages.first)


@pytest.mark.parametrize("strip, message", [
    (zlib.compress(images.marked(dtype="float64").tobytes())[:-20], "compressed bytes end too early"),
    (zlib.compress(bytes(16 * 24 * 8 + 2**20 + 1)), "compressed bytes unpack to more than 1051648,"),
], ids=["cut", "large"])
def test_a_strip_that_is_no_strip_of_the_page_is_refused(strip, message, tmp_path):
    tiff_of(tmp_path / "a.tif", strip, "float64", COMPRESSION.ADOBE_DEFLATE)
    with tifffile.TiffFile(tmp_path / "a.tif") as file, pytest.raises(ValueError, match=f"^{len(strip)} {message}"):
        bounded_page(file.pages.first).asarray()


def test_a_page_without_all_of_its_strips_is_refused(tmp_path):
    path = images.save_tiff(tmp_path / "a.tif", PIXELS, photometric="rgb", compression="zlib", rowsperstrip=4)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        page.dataoffsets, page.databytecounts = page.dataoffsets[:3], page.databytecounts[:3]
        with pytest.raises(ValueError, match="^1 of its 4 strips or tiles are missing$"):
            bounded_page(page)


READ = """
import json, pathlib, re, sys, time
from scripts.common.errors import InputError
from scripts.image_io.readers import ImageFileReader
status = pathlib.Path("/proc/self/status")
peak = lambda: int(re.search("VmHWM: *([0-9]+)", status.read_text().replace("\\t", " "))[1]) * 1024
reader = ImageFileReader(max_pixels=20_000_000, volumes=True)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    before, start = peak(), time.monotonic()
    try:
        reader.get_data([str(path)])
        told = ""
    except InputError as error:
        told = str(error)
    print(json.dumps([path.name, told, peak() - before, time.monotonic() - start]))
"""


def test_what_is_packed_does_not_fill_the_memory(tmp_path):
    packed = deflated()
    packed_by_lzma = lzma.compress(bytes(UNPACKED // 4), preset=0) * 4
    text = b"note\0\0" + packed
    png_of(tmp_path / "compressed text.png", (b"zTXt", text))
    png_of(tmp_path / "international text.png", (b"iTXt", b"note\0\1\0\0\0" + packed))
    png_of(tmp_path / "color profile.png", (b"iCCP", text))
    png_of(tmp_path / "pixels.png", (b"IDAT", packed))
    png_of(tmp_path / "deep pixels.png", (b"IDAT", packed), depth=16)
    tiff_of(tmp_path / "strip.tif", packed, "uint8", COMPRESSION.ADOBE_DEFLATE)
    tiff_of(tmp_path / "deep strip.tif", packed, "float64", COMPRESSION.ADOBE_DEFLATE)
    tiff_of(tmp_path / "lzma.tif", packed_by_lzma, "float64", COMPRESSION.LZMA)
    tiff_of(tmp_path / "packbits.tif", b"\x81\0" * 2**22, "float64", COMPRESSION.PACKBITS)
    gzipped_nifti(tmp_path / "late voxels.nii.gz", float(UNPACKED - 2**20), 16, packed)
    gzipped_nifti(tmp_path / "extension.nii.gz", 400.0, UNPACKED - 2**20, packed)
    gzipped_nifti(tmp_path / "endless extension.nii.gz", 400.0, 0, packed)
    dicom_of(tmp_path / "deflated.dcm", packed)
    dicom_with_a_jpeg(tmp_path / "jpeg.dcm", 6000)
    environment = {**os.environ, "PYTHONPATH": str(BUNDLE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    tried = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    assert set(tried) == {path.name for path in tmp_path.iterdir()}
    sound = "pixels.png", "strip.tif"  # Pillow leaves out what lies behind the pixels
    for name, (told, memory, seconds) in tried.items():
        assert name in sound or (told and name in told), f"{name} was read"
        assert memory < ALLOWED and seconds < 5, f"{name} took {memory / 2**20:.0f} MiB and {seconds:.1f} s: {told}"
    assert "unpack to more than" in tried["deep pixels.png"][0] + tried["deep strip.tif"][0]
