# SPDX-License-Identifier: Apache-2.0

"""Small files that claim to be large images are refused before anything is decoded; see test_decompression.py, too."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
from nibabel.arrayproxy import ArrayProxy
from PIL import ImageFile

import images
from scripts.common.errors import InputError
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from volumes import AFFINE, save_dicom


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
