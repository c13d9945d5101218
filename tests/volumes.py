# SPDX-License-Identifier: Apache-2.0

"""DICOM files as scanners write them, files of several pages, and the affine of a NIfTI volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

import images
from scripts.image_io.readers import ImageFileReader

AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.7, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])


def save_dicom(path: Path, pixels: np.ndarray, kind: str = "MONOCHROME2", frames: int = 1, **tags: Any) -> Path:
    """Write (H, W), (H, W, 3), or these with frames first."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    color = 3 if kind == "RGB" else 1
    data.Rows, data.Columns = pixels.shape[1:3] if frames > 1 else pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = color, kind
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    if color == 3:
        data.PlanarConfiguration = 0
    if frames > 1:
        data.NumberOfFrames = frames
    data.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def read(path: Path, **options: Any) -> np.ndarray:
    """The pixels of a file as training sees them, (H, W, C); of one that may have pages, (H, W, D, C)."""
    return ImageFileReader(volumes=True, **options).get_data([str(path)])[0]


def pages_of(kind: str, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A file and its pages (D, H, W, C), each with its mark in another place."""
    base = images.marked(3) if kind.endswith("RGB") else images.marked()
    pages = np.stack([np.roll(base, 5 * i, axis=1) for i in range(3)])
    path = tmp_path / f"a.{kind.split()[0]}"
    if kind.startswith("dcm"):
        save_dicom(path, pages, "RGB" if kind.endswith("RGB") else "MONOCHROME2", frames=3)
    elif kind.startswith("nii"):
        voxels = pages.swapaxes(0, 2)  # (W, H, D) or (W, H, D, 3)
        if kind.endswith("RGB"):
            voxels = np.ascontiguousarray(voxels).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
        nib.save(nib.Nifti1Image(voxels, AFFINE), path)
    elif kind.startswith("tif 16"):
        images.save_tiff(path, pages.astype(np.uint16) * 200, photometric="minisblack")
    else:
        first, *others = (Image.fromarray(page) for page in pages)
        first.save(path, save_all=True, append_images=others)
    return path, pages if pages.ndim == 4 else np.stack([pages] * 3, axis=-1)
