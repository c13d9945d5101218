# SPDX-License-Identifier: Apache-2.0

"""Labels in the formats of clients, also damaged and hostile ones. Runs where MONAI Label is installed."""

from __future__ import annotations

import bz2
import gzip
import struct
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.draw import disk, polygon2mask

from scripts.common.errors import InputError
from servers import asap, dice
from workflows import BUNDLE

nib = pytest.importorskip("nibabel")
nrrd = pytest.importorskip("nrrd")


def test_objects_with_holes_are_polygons_cut_open():
    sys.path.insert(0, str(BUNDLE / "label"))
    from qtseg_label.labels import annotations

    mask = np.zeros((40, 50), np.uint8)
    mask[disk((20, 20), 15)] = 1
    mask[disk((20, 14), 4)] = mask[disk((20, 27), 4)] = 0
    (element,) = annotations(mask, {"object": 1})["elements"]
    (ring,) = element["contours"]
    assert dice(polygon2mask(mask.shape, np.array(ring)[:, ::-1] - 0.5), mask == 1) > 0.98


def labels_of(path: Path, image: Path, *ids: int) -> np.ndarray:
    sys.path.insert(0, str(BUNDLE / "label"))
    from qtseg_label.labels import read_label

    return read_label(str(path), str(image), {f"class {number}": number for number in ids})


@pytest.mark.parametrize("shape", [(5, 7), (1, 5), (5, 1), (1, 1)])
def test_labels_of_slicer_for_images_of_any_size(shape, tmp_path):
    Image.new("L", shape[::-1]).save(tmp_path / "a.png")
    ids = np.arange(np.prod(shape), dtype=np.int16).reshape(shape) % 2
    nrrd.write(str(tmp_path / "a.nrrd"), ids.T[..., None])
    np.testing.assert_array_equal(labels_of(tmp_path / "a.nrrd", tmp_path / "a.png", 1), ids)


def broken(path: Path) -> Path:
    (path / "a.nrrd").write_bytes(b"NRRD0004\ntype: nonsense\n\n")
    return path / "a.nrrd"


def with_values(path: Path, *values: int, dtype: str = "int16") -> Path:
    nrrd.write(str(path / "a.nrrd"), np.resize(np.array(values, dtype), (7, 5, 1)))
    return path / "a.nrrd"


def drawn(path: Path, text: str) -> Path:
    (path / "a.xml").write_text(text)
    return path / "a.xml"


@pytest.mark.parametrize(
    "make, ids, message",
    [
        (lambda path: with_values(path, 0, 257), [1], "a.nrrd"),
        (lambda path: with_values(path, 0, -1), [1], "a.nrrd"),
        (lambda path: with_values(path, 0, 2), [1], "a.nrrd"),
        (lambda path: with_values(path, 0, 3), [1, 2], r"a.nrrd has the id\(s\) \[3\], which are no class; its cla"),
        (broken, [1], "a.nrrd cannot be read .* send the label anew"),
        (lambda path: drawn(path, "<a"), [1], "a.xml cannot be read .* send the label anew"),
        (lambda path: drawn(path, asap(np.array([["a", 1.0]]))), [2], "a.xml cannot be read .* send the label anew"),
        (lambda path: drawn(path, asap(np.array([[1.0, 1.0]]))), [1, 3], "a.xml has polygons of 'class 2', which is"),
    ],
)
def test_wrong_labels_are_told(make, ids, message, tmp_path):
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=message):
        labels_of(make(tmp_path), tmp_path / "a.png", *ids)


def nrrd_head(encoding: str, sizes: str = "40 40 1", more: str = "", kind: str = "uint8") -> bytes:
    dimension = len(sizes.split())
    return f"NRRD0004\ntype: {kind}\ndimension: {dimension}\nsizes: {sizes}\nencoding: {encoding}\n{more}\n".encode()


def png_head(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


def polygons(*corners: str) -> bytes:
    points = "".join(f"<Coordinate {place}/>" for place in corners)
    annotation = f'<Annotation PartOfGroup="class 1"><Coordinates>{points}</Coordinates></Annotation>'
    return f"<ASAP_Annotations><Annotations>{annotation}</Annotations></ASAP_Annotations>".encode()


LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
    f"<!ENTITY {chr(97 + i)} '{('&' + chr(96 + i) + ';') * 10}'>".encode() for i in range(1, 12)
)
HOSTILE = {
    "unpacks by gzip.nrrd": (nrrd_head("gzip") + gzip.compress(bytes(2**24)), "more than 1600 numbers need"),
    "unpacks by bzip2.nrrd": (nrrd_head("bzip2") + bz2.compress(bytes(2**24)), "more than 1600 numbers need"),
    "large sizes.nrrd": (nrrd_head("gzip", "65536 65536 1") + gzip.compress(bytes(99)), r"shape \(65536, 65536\), but"),
    "many slices.nrrd": (nrrd_head("raw", "40 40 100000"), "send a label of one slice"),
    "negative.nrrd": (nrrd_head("raw", "-40 -40"), r"shape \(-40, -40\), but"),
    "zero.nrrd": (nrrd_head("raw", "40 40 0"), r"shape \(40, 40\), but"),
    "no sizes.nrrd": (b"NRRD0004\ntype: uint8\n\n", "send the label anew"),
    "another file.nrrd": (nrrd_head("raw", "40 40", "data file: /etc/passwd\n"), "data lie elsewhere"),
    "a device.nrrd": (nrrd_head("raw", "40 40", "datafile: /dev/zero\n"), "data lie elsewhere"),
    "a list of files.nrrd": (nrrd_head("raw", "40 40", "data file: %d.raw 1 99999 1\n"), "data lie elsewhere"),
    "bytes before.nrrd": (nrrd_head("raw", "40 40", "byte skip: -99999\n"), "data lie elsewhere"),
    "lines skipped.nrrd": (nrrd_head("raw", "40 40", "line skip: 999999999\n"), "data lie elsewhere"),
    "blocks.nrrd": (nrrd_head("raw", "40 40", "block size: 4\n", "block") + bytes(6400), "data lie elsewhere"),
    "too few.nrrd": (nrrd_head("raw", "40 40") + bytes(1599), "send the label anew"),
    "too many.nrrd": (nrrd_head("raw", "40 40") + bytes(1601), "more data than its header tells"),
    "text.nrrd": (nrrd_head("ascii", "40 40") + b"9" * 99999, "more data than 1600 numbers need"),
    "empty.nrrd": (b"", "send the label anew"),
    "laughs.xml": (LAUGHS + b"]><A>&l;</A>", "declares a document type"),
    "a file.xml": (b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><A>&x;</A>', "declares a document type"),
    "a definition.xml": (b'<!DOCTYPE l SYSTEM "http://127.0.0.1:1/x"><A/>', "declares a document type"),
    "not a number.xml": (polygons('X="nan" Y="1"', 'X="5" Y="5"', 'X="9" Y="1"'), "no place within 1e.07 pixels"),
    "infinite.xml": (polygons('X="inf" Y="1"', 'X="5" Y="5"', 'X="9" Y="1"'), "no place within 1e.07 pixels"),
    "far away.xml": (polygons('X="1e300" Y="1"', 'X="5" Y="5"', 'X="9" Y="1"'), "no place within 1e.07 pixels"),
    "long order.xml": (polygons(f'Order="{"9" * 5000}" X="1" Y="1"'), "send the label anew"),
    "large.xml": (polygons(*['X="1" Y="1"'] * 100_000), "has 2500138 bytes; a label of image.png has at most 1150976"),
    "UTF-16 cut off.xml": (b"\xff\xfe<\0A\0", "send the label anew"),
    "large header.png": (png_head(100_000, 100_000), r"shape \(100000, 100000\), but"),
    "a little larger.png": (png_head(41, 40), r"shape \(40, 41\), but"),
    "code.png": (b"\x80\x04cposix\nsystem\n", "is not a PNG"),
    "code.nii.gz": (gzip.compress(b"\x80\x04cposix\nsystem\n"), "cannot be read as NIfTI"),
    "large header.nii": (nib.Nifti1Image(np.zeros((41, 40, 1), np.uint8), None).to_bytes(), r"shape \(40, 41\), but"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_labels_are_refused_at_once(name, tmp_path):
    content, message = HOSTILE[name]
    Image.new("L", (40, 40)).save(tmp_path / "image.png")
    (tmp_path / name).write_bytes(content)
    start = time.process_time()
    with pytest.raises(InputError, match=message):
        labels_of(tmp_path / name, tmp_path / "image.png", 1)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("kind", ["uint8", "int16", "float", "double"])
def test_nrrd_is_read_in_all_encodings(encoding, kind, tmp_path):
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    ids = np.arange(35).reshape(5, 7) % 2
    numpy_kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    nrrd.write(str(tmp_path / "a.nrrd"), ids.T[..., None].astype(numpy_kind), {"encoding": encoding})
    np.testing.assert_array_equal(labels_of(tmp_path / "a.nrrd", tmp_path / "a.png", 1), ids)


def test_nothing_of_a_bomb_is_kept_in_memory(tmp_path):
    """64 MB in 64 KB. The unpacked part is no larger than the label."""
    packed = gzip.compress(bytes(2**26))
    assert len(packed) < 2**17
    Image.new("L", (200, 200)).save(tmp_path / "image.png")
    (tmp_path / "bomb.nrrd").write_bytes(nrrd_head("gzip", "200 200 1") + packed)
    tracemalloc.start()
    with pytest.raises(InputError, match="it unpacks to more than 40000 numbers need"):
        labels_of(tmp_path / "bomb.nrrd", tmp_path / "image.png", 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("seed", range(6))
def test_polygons_cover_the_pixels_that_skimage_gives_them(seed, tmp_path):
    """They are drawn in bands of rows, which must not change them."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 90, 2)
    corners = random.uniform(-20, 110, (random.integers(3, 40), 2))
    corners = np.round(corners) + 0.5 * (seed % 2) if seed < 4 else corners  # through centers and edges of pixels
    Image.new("L", (width, height)).save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(asap(corners))
    expected = polygon2mask((height, width), corners[:, ::-1] - 0.5)
    np.testing.assert_array_equal(labels_of(tmp_path / "a.xml", tmp_path / "a.png", 1, 2) == 2, expected)


def test_outlines_of_many_corners_are_drawn_fast(tmp_path):
    """Whole, 12,000 corners would be compared with a million pixels, which takes minutes."""
    angles = np.linspace(0, 2 * np.pi, 12_000, endpoint=False)
    radius = 450 + 5 * np.sin(200 * angles)
    Image.new("L", (1000, 1000)).save(tmp_path / "a.png")
    corners = 500 + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    (tmp_path / "a.xml").write_text(asap(corners))
    start = time.process_time()
    area = (labels_of(tmp_path / "a.xml", tmp_path / "a.png", 1, 2) == 2).sum()
    assert time.process_time() - start < 15 and area == pytest.approx(np.pi * (450**2 + 5**2 / 2), rel=1e-4)


def test_polygons_that_would_take_for_ever_are_refused(tmp_path):
    corners = np.stack([np.arange(20_000) % 1999, np.arange(20_000) % 2 * 1999], 1)  # each edge crosses all rows
    Image.new("L", (2000, 2000)).save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(asap(corners))
    start = time.process_time()
    with pytest.raises(InputError, match="its polygons have too many corners to draw; simplify them in the viewer"):
        labels_of(tmp_path / "a.xml", tmp_path / "a.png", 1, 2)
    assert time.process_time() - start < 10


def test_labels_of_volumes_have_their_slices(tmp_path):
    sys.path.insert(0, str(BUNDLE / "label"))
    from qtseg_label.labels import check_label, read_label

    ids = (np.arange(5 * 7 * 3).reshape(7, 5, 3) % 2).astype(np.uint8)
    for name, voxels in (("image", ids * 100), ("label", ids), ("short", ids[..., :2])):
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{name}.nii.gz")
    nrrd.write(str(tmp_path / "label.nrrd"), ids)
    image, labels = str(tmp_path / "image.nii.gz"), {"object": 1}
    for name in ("label.nii.gz", "label.nrrd"):
        slices = check_label(str(tmp_path / name), image, labels)
        np.testing.assert_array_equal(np.stack(slices, -1), ids.transpose(1, 0, 2))
    with pytest.raises(InputError, match=r"short.nii.gz has the shape \(5, 7\) on 2 pages, but .*image.nii.gz"):
        check_label(str(tmp_path / "short.nii.gz"), image, labels)
    with pytest.raises(InputError, match="image.nii.gz has 3 pages, frames or slices; save each one"):
        read_label(str(tmp_path / "label.nii.gz"), image, labels)
