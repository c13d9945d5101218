# SPDX-License-Identifier: Apache-2.0

"""Small files that claim or unpack to large images are refused before anything of that size is made."""

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
from nibabel.arrayproxy import ArrayProxy
from PIL import Image, ImageFile
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit
from tifffile import COMPRESSION

import images
from scripts.common.errors import InputError
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from volumes import AFFINE, save_dicom
from workflows import BUNDLE

UNPACKED = 600 * 2**20  # bytes
ALLOWED = 300 * 2**20  # more than any of these images takes, and half of what it unpacks to


# huge by the header


def huge_jpeg(path: Path) -> None:
    images.save(path, images.marked())
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", 65500, 65500)
    path.write_bytes(content)


def huge_gif(path: Path) -> None:
    images.save(path, images.marked())
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 65535, 65535)
    path.write_bytes(content)


def huge_bmp(path: Path) -> None:
    images.save(path, images.marked(3))
    content = bytearray(path.read_bytes())
    content[18:26] = struct.pack("<ii", 60_000, 60_000)
    path.write_bytes(content)


def huge_tiff(path: Path, dtype: str) -> None:
    tifffile.imwrite(path, images.marked(dtype=dtype), compression="zlib")
    content = path.read_bytes()
    for tag, side in ((256, images.WIDTH), (257, images.HEIGHT)):
        entry = next(entry for kind in "HI" if (entry := _entry(tag, side, kind)) in content)
        content = content.replace(entry, _entry(tag, 60_000, "I"))
    path.write_bytes(content)


def _entry(tag: int, value: int, kind: str) -> bytes:
    return struct.pack("<HHI", tag, 3 if kind == "H" else 4, 1) + struct.pack("<I", value)


def huge_nifti(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[42:48] = struct.pack("<hhh", 32_000, 32_000, 32_000)
    path.write_bytes(content)


@pytest.mark.parametrize("name, make, size", [
    ("a.png", lambda path: images.empty_png(path, 60_000, 50_000), "60000 x 50000 pixels"),
    ("a.jpg", huge_jpeg, "65500 x 65500 pixels"),
    ("a.gif", huge_gif, "65535 x 65535 pixels"),
    ("a.bmp", huge_bmp, "60000 x 60000 pixels"),
    ("a.tif", lambda path: huge_tiff(path, "uint8"), "60000 x 60000 pixels"),
    ("deep.tif", lambda path: huge_tiff(path, "float64"), "60000 x 60000 pixels"),
    ("a.dcm", lambda path: save_dicom(path, images.marked(), Rows=65535, Columns=65535), "65535 x 65535 pixels"),
    ("frames.dcm", lambda path: save_dicom(path, images.marked(), NumberOfFrames=2**31 - 1), "2147483647 pages"),
    ("a.nii", huge_nifti, "32000 x 32000 pixels on each of 32000 pages"),
])
def test_what_is_huge_by_its_header_is_not_decoded(name, make, size, tmp_path, monkeypatch):
    make(tmp_path / name)

    def decode(*args, **kwargs):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", decode)
    monkeypatch.setattr(ArrayProxy, "__array__", decode)
    monkeypatch.setattr(pydicom.FileDataset, "pixel_array", property(decode))
    for reader in (ImageFileReader(), ImageFileReader(volumes=True), MaskFileReader(2)):
        with pytest.raises(InputError, match=rf"{name} has .*{size}.*, more than max_pixels=200000000; crop"):
            reader.get_data([str(tmp_path / name)])


def test_tiles_may_not_be_huge_either(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", images.marked(), tile=(16, 16), compression="zlib")
    content = (tmp_path / "a.tif").read_bytes()
    for tag in (322, 323):
        entry = next(entry for kind in "HI" if (entry := _entry(tag, 16, kind)) in content)
        content = content.replace(entry, _entry(tag, 40_000, "I"))
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match="a.tif is stored in tiles of 40000 x 40000 pixels, more than max_pixels=200"):
        ImageFileReader().get_data([str(tmp_path / "a.tif")])


# huge by what is packed into them


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
