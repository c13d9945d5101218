# SPDX-License-Identifier: Apache-2.0

"""Every format, kind of channels and depth that the page on inference promises: the right pixels in the right place."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import images
from scripts.image_io.readers import ImageFileReader
from volumes import save_dicom
from workflows import BUNDLE

KINDS = ("1 bit", "palette", "gray 8", "gray 16", "gray float", "gray alpha 8", "RGB 8", "RGB 16", "RGBA 8", "RGBA 16")
CELLS = {
    "PNG": {*KINDS} - {"gray float"},
    "JPEG": {"gray 8", "RGB 8"},
    "TIFF": {*KINDS},
    "BMP": {"1 bit", "palette", "gray 8", "RGB 8"},
    "GIF": {"palette"},
    "DICOM": {"gray 8", "gray 16", "RGB 8"},
    "NIfTI": {"gray 8", "gray 16", "gray float", "RGB 8"},
}
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "BMP": "bmp", "GIF": "gif", "DICOM": "dcm", "NIfTI": "nii.gz"}


def marked(kind: str) -> np.ndarray:
    """A marker at the upper left, of full scale; opaque."""
    channels = {"gray": None, "RGB": 3, "RGBA": 4}[kind.split()[0]]
    dtype = {"8": "uint8", "16": "uint16", "float": "float32"}[kind.split()[-1]]
    full = {"uint8": 255, "uint16": 65535, "float32": 0.75}[dtype]
    pixels = images.marked(channels, dtype, full)
    if channels == 4:
        pixels[..., 3] = full
    return pixels


def save(path: Path, format_: str, kind: str) -> None:
    if kind == "1 bit":
        images.save(path, images.marked(), mode="1")
    elif kind == "palette":
        images.save_palette(path, images.marked(value=1), [0, 0, 0, 255, 255, 255, *range(9)])
    elif kind == "gray alpha 8":
        gray = images.marked()
        Image.merge("LA", [Image.fromarray(gray), Image.new("L", gray.shape[::-1], 255)]).save(path)
    elif format_ == "DICOM":
        save_dicom(path, marked(kind), kind="RGB" if kind.startswith("RGB") else "MONOCHROME2")
    elif format_ == "NIfTI":
        pixels = marked(kind).swapaxes(0, 1)
        if kind == "RGB 8":
            pixels = np.ascontiguousarray(pixels).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
        nib.save(nib.Nifti1Image(pixels[..., None], np.eye(4)), path)
    elif format_ == "TIFF":
        extra = {"extrasamples": ["unassalpha"]} if kind.startswith("RGBA") else {}
        images.save_tiff(path, marked(kind), photometric="rgb" if kind.startswith("RGB") else "minisblack", **extra)
    elif kind.endswith("16"):
        images.save_png(path, marked(kind))
    else:
        images.save(path, marked(kind))


@pytest.mark.parametrize("format_, kind", [(name, kind) for name in CELLS for kind in KINDS if kind in CELLS[name]])
def test_the_marker_is_where_it_was(format_, kind, tmp_path):
    path = tmp_path / f"a.{SUFFIXES[format_]}"
    save(path, format_, kind)
    found = ImageFileReader().get_data([str(path)])[0]
    assert found.shape == (images.HEIGHT, images.WIDTH, 3)
    there = images.marked() > 0
    if format_ == "JPEG":  # blurs the edge
        assert found[1:3, 1:5].min() >= 247 and found[there].mean() > 230 and found[~there].mean() < 5
    else:
        assert found[there].min() == 255 and found[~there].max() == 0


def test_the_page_on_inference_has_the_same_table():
    text = (BUNDLE / "docs" / "inference.md").read_text()
    (table,) = re.findall(r"\| format \|.*?\n\n", text, re.S)
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert tuple(head[1:]) == KINDS
    assert {row[0]: {kind for kind, cell in zip(KINDS, row[1:]) if cell == "x"} for row in rows} == CELLS
