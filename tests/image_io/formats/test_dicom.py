# SPDX-License-Identifier: Apache-2.0

"""DICOM: the stored values as the file means them, and damaged files in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.dicom import open_dicom
from scripts.image_io.pages import read_pages
from volumes import read, save_dicom


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_gray_dicom(dtype, tmp_path):
    pixels = images.marked(dtype=dtype, value=100)
    found = read(save_dicom(tmp_path / "a.dcm", pixels))
    assert found.shape == (*pixels.shape, 3)
    np.testing.assert_array_equal(found[..., 0] > 0, pixels > 0)
    assert (found.dtype == np.uint8) == (dtype == "uint8")


def test_dicom_that_shows_zero_as_white(tmp_path):
    found = read(save_dicom(tmp_path / "a.dcm", images.marked(value=90), kind="MONOCHROME1"))
    np.testing.assert_array_equal(found[..., 0] == 0, images.marked() > 0)


def test_dicom_in_rgb_and_without_a_suffix(tmp_path):
    pixels = images.marked(3)
    pixels[-1, -1] = (7, 8, 9)
    np.testing.assert_array_equal(read(save_dicom(tmp_path / "IM0001", pixels, kind="RGB")), pixels)


def test_dicom_is_rescaled(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", images.marked(value=10), RescaleSlope=-2, RescaleIntercept=50)
    (page,) = read_pages(str(path), images.HEIGHT * images.WIDTH)
    assert sorted(np.unique(page.values)) == [30, 50]


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("intensities", ["min_max", "percentiles"])
@pytest.mark.parametrize("tags", [
    {"PixelPaddingValue": -2000}, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1999},
    {"PixelPaddingValue": -2000, "RescaleSlope": 2, "RescaleIntercept": -5},
], ids=["value", "range", "rescaled"])
def test_padding_takes_no_contrast(tags, intensities, kind, tmp_path):
    pixels = np.tile(np.arange(100, dtype=np.int16), (100, 1))
    pixels[:30] = -2000
    pixels[5:9] = -1999 if "PixelPaddingRangeLimit" in tags else -2000
    values = read(save_dicom(tmp_path / "a.dcm", pixels, kind, **tags), intensities=intensities)[..., 0]
    assert not values[:30].any()
    row = values[50] if kind == "MONOCHROME2" else values[50, ::-1]
    np.testing.assert_allclose(row, np.linspace(0, 255, 100), atol=3)


def test_a_table_of_the_modality_is_applied(tmp_path):
    pixels = np.tile(np.arange(50, dtype=np.uint16), (20, 1))
    item = pydicom.Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [64, 0, 16], "US"
    item.add_new(0x00283006, "OW", (65535 - np.arange(64) * 100).astype("<u2").tobytes())
    path = save_dicom(tmp_path / "a.dcm", pixels, ModalityLUTSequence=pydicom.Sequence([item]))
    (page,) = read_pages(str(path), 1000)
    np.testing.assert_array_equal(page.values[0], 65535 - np.arange(50) * 100)


def test_other_channels_are_refused(tmp_path):
    tags = {"SamplesPerPixel": 4, "PlanarConfiguration": 0}
    path = save_dicom(tmp_path / "a.dcm", np.zeros((16, 24, 4), np.uint8), "ARGB", **tags)
    with pytest.raises(InputError, match="a.dcm (has 4 channels|cannot be decoded)"):
        read_pages(str(path), 1000)


def test_compressed_dicom(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", images.marked())
    data = pydicom.dcmread(path)
    data.compress(RLELossless)
    data.save_as(path)
    np.testing.assert_array_equal(read(path)[..., 0], images.marked())


def test_the_header_tells_size_and_frames_before_anything_is_decoded(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", np.zeros((3, 5, 7), np.uint8), frames=3, PixelData=b"\0" * 10)
    with open_dicom(str(path)) as file:
        assert (file.pages, file.size) == (3, (5, 7))
        with pytest.raises(InputError, match="a.dcm cannot be decoded"):
            file.decode(10**6)


def test_a_dicom_without_an_image_has_no_pages(tmp_path):
    path = save_dicom(tmp_path / "report.dcm", images.marked())
    data = pydicom.dcmread(path)
    del data.PixelData, data.Rows, data.Columns
    data.save_as(path)
    with open_dicom(str(path)) as file:
        assert file.pages == 0
    with pytest.raises(InputError, match="report.dcm holds no image; remove it"):
        read(path)


def test_a_palette_becomes_colors(tmp_path):
    blue = bytes([0, 40, 0, 200])  # of entries 0 and 1, 16 bits each
    tables = {f"{color}PaletteColorLookupTableDescriptor": [2, 0, 16] for color in ("Red", "Green", "Blue")}
    tables |= {f"{color}PaletteColorLookupTableData": bytes(4) for color in ("Red", "Green")}
    path = save_dicom(
        tmp_path / "a.dcm", images.marked(value=1), kind="PALETTE COLOR", BluePaletteColorLookupTableData=blue, **tables
    )
    with open_dicom(str(path)) as file:
        (page,) = file.decode(10**6)
    assert page.values.shape == (images.HEIGHT, images.WIDTH, 3)
    assert page.values[0, 0].tolist() == [0, 0, 200 << 8] and page.values[-1, -1].tolist() == [0, 0, 40 << 8]


def with_a_damaged_size(path: Path) -> Path:
    content = save_dicom(path / "a.dcm", images.marked()).read_bytes()
    rows = content.index(b"\x28\x00\x10\x00US")
    (path / "a.dcm").write_bytes(content[: rows + 4] + b"QQ" + content[rows + 6 :])
    return path / "a.dcm"


def with_a_damaged_slope(path: Path) -> Path:
    save_dicom(path / "a.dcm", images.marked(), RescaleSlope="1", RescaleIntercept="12")
    content = (path / "a.dcm").read_bytes()
    (path / "a.dcm").write_bytes(content.replace(b"DS\x02\x0012", b"DS\x02\x00x0"))
    return path / "a.dcm"


@pytest.mark.parametrize("make, message", [
    (with_a_damaged_size, "a.dcm has no readable size|a.dcm cannot be read as DICOM"),
    (with_a_damaged_slope, "a.dcm cannot be decoded .* it is stored as Explicit VR Little Endian: convert it"),
    (lambda path: save_dicom(path / "a.dcm", np.zeros((1001, 1000), np.uint8)), "a.dcm has 1000 x 1001 pixels, m"),
    (
        lambda path: save_dicom(path / "a.dcm", images.marked(), PixelData=b"\0" * 10),
        "a.dcm cannot be decoded .* it is stored as Explicit VR Little Endian: convert it",
    ),
])
def test_wrong_files(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(make(tmp_path), max_pixels=10**6)


@pytest.mark.parametrize("rest, message", [
    (b"", "a.dcm holds no image; remove it"),
    (b"\x02\x00", "a.dcm cannot be read|holds no image"),
])
def test_files_that_end_after_their_first_bytes(rest, message, tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + rest)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.dcm")
