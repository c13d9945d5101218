# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""DICOM files: their frames as images. They need the package pydicom."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

__all__ = ["frame_count", "is_dicom", "read_frames"]


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tell by its content whether a file is a DICOM file, as many have no suffix.

    Raises:
        OSError: if it cannot be opened.
    """
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def frame_count(path: str) -> int:
    """Number of frames, from the header alone; 0 for a file that holds no image, such as a report.

    Raises:
        InputError: if the header cannot be read.
    """
    header = _read(path, stop_before_pixels=True)
    return _frames(header) if header.get("Rows") and header.get("Columns") else 0


def read_frames(path: str, max_pixels: int) -> NDArray[Any]:
    """Read the frames: stored values, rescaled as the file says; what is shown bright is large.

    The window for a display is not applied.

    Args:
        path: the file.
        max_pixels: the largest number of pixels of all frames to decode.

    Returns:
        (D, H, W), or (D, H, W, 3) RGB.

    Raises:
        InputError: if it cannot be read, holds no image, is too large, or is compressed in a way that needs a decoder
            that is not installed.
    """
    header = _read(path, stop_before_pixels=True)
    rows, columns, frames = getattr(header, "Rows", 0), getattr(header, "Columns", 0), _frames(header)
    if not rows or not columns:
        raise InputError(f"{path} holds no image; remove it")
    if rows * columns * frames > max_pixels:
        raise InputError(
            f"{path} has {frames} frame(s) of {columns} x {rows} pixels, more than max_pixels={max_pixels}; crop it, "
            "or raise max_pixels if you trust the file"
        )
    data = _read(path)
    from pydicom.pixels import apply_color_lut, apply_rescale  # there, as _read has found it

    try:
        values = data.pixel_array  # colors as RGB
        kind = str(data.PhotometricInterpretation)
        if kind == "PALETTE COLOR":
            values = apply_color_lut(values, data)
        elif "RescaleSlope" in data:
            values = apply_rescale(values, data)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError, LookupError, OSError) as error:
        syntax = data.file_meta.get("TransferSyntaxUID")
        name = getattr(syntax, "name", syntax)
        raise InputError(
            f"{path} cannot be decoded ({' '.join(str(error).split())}); it is stored as {name}: convert it to an "
            "uncompressed DICOM or PNG, or install pydicom's decoder for it"
        ) from error
    if kind == "MONOCHROME1":
        values = int(values.max()) - values.astype(np.int64 if values.dtype.kind in "ui" else np.float64)
    slices = values.reshape(frames, rows, columns, -1)
    return slices if slices.shape[-1] == 3 else slices[..., 0]


def _read(path: str, *, stop_before_pixels: bool = False) -> Any:
    try:  # not on top, as few need it, and where it is installed MONAI warns of a decoder for GPUs that is not
        from pydicom import dcmread, pixels  # noqa: F401  # version 3 and newer
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise InputError(f"{path} is a DICOM file; to read it, run python -m pip install 'pydicom>=3.0.1'") from error
    try:
        return dcmread(path, stop_before_pixels=stop_before_pixels)
    except (InvalidDicomError, OSError, ValueError, LookupError, AttributeError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read as DICOM ({error}); get a new copy") from error


def _frames(header: Any) -> int:
    try:
        return max(1, int(header.get("NumberOfFrames", 1) or 1))
    except (TypeError, ValueError):
        return 1
