# SPDX-License-Identifier: Apache-2.0

"""Small valid image files of every format and kind that the readers know."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import png
import pydicom
import tifffile
from PIL import Image

from volumes import save_dicom

Writers = dict[str, Callable[[Path], None]]


def originals() -> dict[str, bytes]:
    """Small valid files of every format and kind, by name."""
    random_ = np.random.default_rng(0)
    gray = random_.integers(0, 256, (19, 23), np.uint8)
    color, deep = random_.integers(0, 256, (19, 23, 3), np.uint8), random_.integers(0, 65536, (19, 23, 3), np.uint16)
    mask = (gray > 127).astype(np.uint8)
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in {**_pillow_files(gray, color, mask), **_others(gray, color, deep, mask)}.items():
            path = Path(folder) / name
            write(path)
            files[name] = path.read_bytes()
    return files


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
