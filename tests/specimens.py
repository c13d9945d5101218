# SPDX-License-Identifier: Apache-2.0

"""Small valid image files of every format and kind that the readers know.

:py:func:`write` writes a file of any format by :py:data:`WRITERS`, and by Pillow if the format is not in it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import png
import pydicom
import tifffile
from PIL import Image

import images
from scripts.image_io.formats.registry import FORMATS, format_named
from volumes import AFFINE, save_dicom

Writers = dict[str, Callable[[Path], None]]
Pages = Sequence[np.ndarray]

_PALETTE = [0, 0, 0, 255, 255, 255, *range(9)]


def promises() -> list[tuple[str, list[str]]]:
    """Names of formats, and the kinds of pixels promised of them, from the table in docs/inference.md."""
    text = (Path(__file__).parents[1] / "bundle" / "docs" / "inference.md").read_text()
    (table,) = re.findall(r"\| format \|.*?\n\n", text, re.S)
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert all(len(row) == len(head) and {*row[1:]} <= {"x", ""} for row in rows), table
    return [(row[0], [kind for kind, cell in zip(head[1:], row[1:]) if cell]) for row in rows]


def marked(kind: str) -> np.ndarray:
    """Opaque pixels of a kind with a marker of full scale at the upper left: (H, W) or (H, W, C)."""
    if kind in ("1 bit", "palette"):
        return images.marked(value=1)
    *words, depth = kind.split()
    dtype = {"8": "uint8", "16": "uint16", "float": "float32"}[depth]
    full = {"uint8": 255, "uint16": 65535, "float32": 0.75}[dtype]
    channels = {"gray": None, "gray alpha": 2, "RGB": 3, "RGBA": 4}[" ".join(words)]
    pixels = images.marked(channels, dtype, full)
    if channels in (2, 4):
        pixels[..., -1] = full
    return pixels


def write(path: Path, kind: str, *pages: np.ndarray) -> Path:
    """Write a file of the format of its suffix.

    Args:
        path: path of the file.
        kind: kind of pixels, a column of the table in docs/inference.md.
        pages: the pages, frames or slices, as :py:func:`marked` returns one; by default that one.
    """
    row = format_named(path)
    WRITERS.get(row.name if row else "", by_pillow)(path, kind, pages or [marked(kind)])
    return path


def by_pillow(path: Path, kind: str, pages: Pages) -> None:
    first, *others = (_picture(page, kind) for page in pages)
    first.save(path, **({"save_all": True, "append_images": others} if others else {}))


def _picture(page: np.ndarray, kind: str) -> Image.Image:
    picture = Image.fromarray(page * 255 if kind == "1 bit" else page)
    if kind == "palette":
        picture.putpalette(_PALETTE)
    return picture.convert("1") if kind == "1 bit" else picture


def _png(path: Path, kind: str, pages: Pages) -> None:
    if kind.endswith("16"):
        (page,) = pages
        images.save_png(path, page)
    else:
        by_pillow(path, kind, pages)


def _tiff(path: Path, kind: str, pages: Pages) -> None:
    if kind in ("1 bit", "palette", "gray alpha 8"):
        by_pillow(path, kind, pages)
        return
    extra = {"extrasamples": ["unassalpha"]} if kind.startswith("RGBA") else {}
    images.save_tiff(path, _stack(pages), photometric="rgb" if kind.startswith("RGB") else "minisblack", **extra)


def _dicom(path: Path, kind: str, pages: Pages) -> None:
    save_dicom(path, _stack(pages), "RGB" if kind.startswith("RGB") else "MONOCHROME2", frames=len(pages))


def _nifti(path: Path, kind: str, pages: Pages) -> None:
    voxels = np.stack(pages).swapaxes(0, 2)  # (W, H, D) or (W, H, D, 3)
    if kind == "RGB 8":
        voxels = np.ascontiguousarray(voxels).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def _stack(pages: Pages) -> np.ndarray:
    return np.stack(pages) if len(pages) > 1 else pages[0]


#: by the name of a row in FORMATS, how tests write pages of a kind, where Pillow does not write all kinds by the suffix
WRITERS: dict[str, Callable[[Path, str, Pages], None]] = {
    "PNG": _png,
    "TIFF": _tiff,
    "DICOM": _dicom,
    "NIfTI": _nifti,
}


def originals() -> dict[str, bytes]:
    """Small valid files of every format and kind, by name.

    Those of several pages have "pages", "frames", "animated" or "volume" in their names.
    """
    random_ = np.random.default_rng(0)
    gray = random_.integers(0, 256, (19, 23), np.uint8)
    color, deep = random_.integers(0, 256, (19, 23, 3), np.uint8), random_.integers(0, 65536, (19, 23, 3), np.uint16)
    mask = (gray > 127).astype(np.uint8)
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        special = {**_pillow_files(gray, color, mask), **_others(gray, color, deep, mask)}
        for name, writer in {**special, **_files_of_other_formats(special)}.items():
            path = Path(folder) / name
            writer(path)
            files[name] = path.read_bytes()
    return files


def _files_of_other_formats(special: Writers) -> Writers:
    """Files of all kinds of the formats that have none yet."""
    writers: Writers = {}
    covered, promised = {format_named(name) for name in special}, dict(promises())
    for row in FORMATS:
        suffix = row.suffixes[0]
        for kind in promised[row.name] if row not in covered else ():
            writers[f"{kind}{suffix}"] = lambda path, kind=kind: write(path, kind)
            if row.may_have_pages:
                writers[f"{kind} pages{suffix}"] = lambda path, kind=kind: write(path, kind, *[marked(kind)] * 3)
    return writers


def _pillow_files(gray: np.ndarray, color: np.ndarray, mask: np.ndarray) -> Writers:
    image, shade, flat = Image.fromarray(color), Image.fromarray(gray), Image.fromarray(mask * 255)
    palette = image.quantize(16)
    clear = image.copy()
    clear.putalpha(shade)
    exif = Image.Exif()
    exif[274] = 6

    def several() -> dict[str, Any]:  # copies, as Pillow keeps in an image how it was saved
        return {"save_all": True, "append_images": [shade.rotate(180), shade.copy()]}

    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "mask.png": (flat, {}), "rgb.png": (image, {"exif": exif}), "rgba.png": (clear, {}),
        "palette.png": (palette, {}), "bit.png": (flat.convert("1"), {}), "ids.png": (Image.fromarray(mask), {}),
        "deep.png": (Image.fromarray(gray.astype(np.uint16) * 256), {}),
        "animated.png": (shade, several()),
        "rgb.jpg": (image, {"exif": exif}), "gray.jpg": (shade, {"progressive": True}),
        "cmyk.jpg": (image.convert("CMYK"), {}), "views.jpg": (image, {"format": "MPO", **several()}),
        "rgb.bmp": (image, {}), "palette.bmp": (palette, {}), "bit.bmp": (flat.convert("1"), {}),
        "palette.gif": (palette, {}), "frames.gif": (shade, several()), "mask.gif": (flat, {}),
        "raw.tif": (image, {"exif": exif}), "lzw.tif": (image, {"compression": "tiff_lzw"}),
        "deflate.tif": (shade, {"compression": "tiff_adobe_deflate"}), "jpeg.tif": (image, {"compression": "jpeg"}),
        "group4.tif": (flat.convert("1"), {"compression": "group4"}), "palette.tif": (palette, {}),
        "packbits.tif": (shade, {"compression": "packbits"}), "pages.tif": (shade, several()),
        "cmyk.tif": (image.convert("CMYK"), {}),
    }
    return {
        name: lambda path, image=image, options=options: image.copy().save(path, **options)
        for name, (image, options) in kinds.items()
    }


def _others(gray: np.ndarray, color: np.ndarray, deep: np.ndarray, mask: np.ndarray) -> Writers:
    def deep_png(path: Path, interlace: bool) -> None:
        writer = png.Writer(deep.shape[1], deep.shape[0], greyscale=False, bitdepth=16, interlace=interlace)
        with path.open("wb") as file:
            writer.write(file, deep.reshape(len(deep), -1).tolist())

    def compressed_dicom(path: Path, uid: pydicom.uid.UID) -> None:
        save_dicom(path, gray)
        data = pydicom.dcmread(path)
        if uid == pydicom.uid.DeflatedExplicitVRLittleEndian:
            data.file_meta.TransferSyntaxUID = uid
        elif uid == pydicom.uid.JPEGBaseline8Bit:
            jpeg = BytesIO()
            Image.fromarray(gray).save(jpeg, "JPEG")
            data.PixelData = pydicom.encaps.encapsulate([jpeg.getvalue()])
            data["PixelData"].is_undefined_length = True
            data.file_meta.TransferSyntaxUID = uid
        else:
            data.compress(uid)
        data.save_as(path)

    def nifti(path: Path, voxels: np.ndarray, kind: type = nib.Nifti1Image) -> None:
        nib.save(kind(voxels, np.diag([1.0, 2, 3, 1])), path)

    pages = np.stack([gray, gray[::-1], gray[:, ::-1]])
    colors = np.ascontiguousarray(color[None].swapaxes(0, 2)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    tiffs: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "deep rgb.tif": (deep, {"photometric": "rgb"}),
        "deep zlib.tif": (deep, {"photometric": "rgb", "compression": "zlib", "predictor": True}),
        "deep lzma.tif": (deep[..., 0], {"compression": "lzma"}),
        "tiled.tif": (color, {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}),
        "deep tiled.tif": (deep, {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}),
        "planes.tif": (color.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        "float.tif": (gray / np.float32(3), {}), "double.tif": (gray / 3, {"compression": "zlib"}),
        "big-endian.tif": (deep[..., 0], {"byteorder": ">", "rowsperstrip": 4}), "signed.tif": (gray.view(np.int8), {}),
        "long.tif": (gray.astype(np.uint32) << 20, {}), "bigtiff.tif": (deep[..., 1], {"bigtiff": True}),
        "deep pages.tif": (pages.astype(np.float64), {"photometric": "minisblack"}),
    }
    return {
        **{
            name: lambda path, array=array, options=options: tifffile.imwrite(path, array, **options)
            for name, (array, options) in tiffs.items()
        },
        "deep rgb.png": lambda path: deep_png(path, False),
        "interlaced.png": lambda path: deep_png(path, True),
        "gray.dcm": lambda path: save_dicom(path, gray),
        "deep.dcm": lambda path: save_dicom(path, deep[..., 0], RescaleSlope=2, RescaleIntercept=-9),
        "rgb.dcm": lambda path: save_dicom(path, color, kind="RGB"),
        "frames.dcm": lambda path: save_dicom(path, pages, frames=3, kind="MONOCHROME1"),
        "rle.dcm": lambda path: compressed_dicom(path, pydicom.uid.RLELossless),
        "deflated.dcm": lambda path: compressed_dicom(path, pydicom.uid.DeflatedExplicitVRLittleEndian),
        "jpeg.dcm": lambda path: compressed_dicom(path, pydicom.uid.JPEGBaseline8Bit),
        "flat.nii": lambda path: nifti(path, mask.T[..., None]),
        "volume.nii": lambda path: nifti(path, pages.T.astype(np.int16)),
        "volume.nii.gz": lambda path: nifti(path, pages.T.astype(np.float32)),
        "rgb.nii.gz": lambda path: nifti(path, colors),
        "second.nii.gz": lambda path: nifti(path, mask.T, nib.Nifti2Image),
    }
