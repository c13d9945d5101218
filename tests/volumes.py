# SPDX-License-Identifier: Apache-2.0

"""DICOM files as scanners write them, the affine of a NIfTI volume, and pages as training sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

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
