# SPDX-License-Identifier: Apache-2.0

"""Read the frames of DICOM files as images. This needs the package pydicom."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import jpeg_factory

from ...common.errors import InputError, in_one_line
from .decompression import unpacked
from .pixels import OpenedFile, Pixels

__all__ = ["open_dicom"]

_MAX_INFLATED = 1 << 27  # bytes; limit for a file that is compressed (deflated) as a whole, which is rare


@contextmanager
def open_dicom(path: str) -> Iterator[OpenedFile]:
    """Read the header of a DICOM file.

    Pixels are the stored values after the rescaling or the table (Modality LUT) that the file states. A pixel that a
    viewer shows brighter has a larger value. The window for a display is not applied.

    Args:
        path: path of the file.

    Yields:
        The opened file. It has 0 pages if the file holds no image, such as a report.

    Raises:
        InputError: if the file cannot be read, or if it is compressed in a way that needs a decoder that is not
            installed.
    """
    rows, columns, frames = _shape(path)

    def decode(max_pixels: int) -> list[Pixels]:
        data = _read(path)
        try:
            stored, values = _decoded(data)
            values = values.reshape(frames, rows, columns, -1)
            paddings = _paddings(data, stored, (frames, rows, columns))
        except Exception as error:  # a damaged value can make pydicom and its decoders raise any error
            raise InputError(
                f"{path} cannot be decoded ({in_one_line(error)}); it is stored as {_syntax(data)}: convert it to an "
                "uncompressed DICOM or PNG, or install pydicom's decoder for it"
            ) from error
        if values.shape[-1] not in (1, 3):
            raise InputError(f"{path} has {values.shape[-1]} channels; save one grey channel or RGB")
        if values.shape[-1] == 3:
            return [Pixels(frame) for frame in values]
        return [Pixels(frame[..., 0], padding=outside) for frame, outside in zip(values, paddings)]

    yield OpenedFile(frames if rows and columns else 0, (rows, columns), decode)


def _decoded(data: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the stored pixels of all frames, and these with the palette, the table or the rescaling of the file."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut  # does not fail, as _read has imported pydicom

    _check_frames(data)
    stored: NDArray[Any] = data.pixel_array  # colors are RGB
    kind = str(data.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(stored, data)
    else:
        values = apply_modality_lut(stored, data)
    if kind == "MONOCHROME1":
        values = int(values.max()) - values.astype(np.int64 if values.dtype.kind in "ui" else np.float64)
    return stored, values


def _paddings(data: Any, stored: NDArray[Any], shape: tuple[int, int, int]) -> list[NDArray[np.bool_] | None]:
    """Return for each frame the pixels that are padding, by the value or the range of values that the file names."""
    first = data.get("PixelPaddingValue")
    if first is None or stored.size != math.prod(shape):
        return [None] * shape[0]
    # the value may be written with another sign than the pixels have
    ends = np.array([first, data.get("PixelPaddingRangeLimit", first)]).astype(stored.dtype)
    return list(((stored >= ends.min()) & (stored <= ends.max())).reshape(shape))


def _check_frames(data: Any) -> None:
    """Refuse compressed frames whose size differs from the header: such a small file could fill the memory."""
    from pydicom.encaps import generate_frames

    if not data.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    for frame in generate_frames(data.PixelData, number_of_frames=int(data.get("NumberOfFrames") or 1)):
        for decoder in (jpeg_factory, Jpeg2KImageFile):
            try:
                size = decoder(io.BytesIO(frame)).size
            except SyntaxError:  # Pillow raises it for data of another format
                continue
            if size != (data.Columns, data.Rows):
                raise ValueError(f"it has a frame of {size[0]} x {size[1]} pixels, not of {data.Columns} x {data.Rows}")


def _shape(path: str) -> tuple[int, int, int]:
    """Return the numbers of rows, columns and frames from the header; rows and columns are 0 where it has none."""
    header = _read(path, stop_before_pixels=True)
    try:
        rows, columns = (int(header.get(name) or 0) for name in ("Rows", "Columns"))
        return rows, columns, max(1, int(header.get("NumberOfFrames") or 1))
    except Exception as error:  # pydicom parses an element only when it is read, and can raise any error then
        raise InputError(f"{path} has no readable size ({in_one_line(error)}); get a new copy") from error


def _syntax(data: Any) -> str:
    """Return the name of the transfer syntax, which is how the pixels are compressed, for a message."""
    try:
        syntax = data.file_meta.get("TransferSyntaxUID")
        return str(getattr(syntax, "name", syntax))
    except Exception:  # a damaged element, as in _shape; the message does not need the name
        return "nothing that is known"


class _File(io.BufferedReader):
    """A DICOM file that refuses to be read where its compressed rest unpacks to more bytes than a limit.

    pydicom has no such limit: it unpacks the whole file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        if size is None or size < 0:  # pydicom reads to the end of the file only where the rest is deflated
            unpacked(content, zlib.decompressobj(-zlib.MAX_WBITS), _MAX_INFLATED)
        return content


def _read(path: str, *, stop_before_pixels: bool = False) -> Any:
    # Imported here, as few users need pydicom. At the top of the module, the import would also make MONAI warn that
    # pydicom's decoder for GPUs is not installed.
    try:
        from pydicom import dcmread, pixels  # noqa: F401  # pydicom.pixels exists from version 3 on
    except ImportError as error:
        raise InputError(f"{path} is a DICOM file; to read it, run python -m pip install 'pydicom>=3.0.1'") from error
    try:
        with _File(path) as file:
            return dcmread(file, stop_before_pixels=stop_before_pixels)
    except Exception as error:  # a damaged file can make pydicom raise any error
        raise InputError(f"{path} cannot be read as DICOM ({in_one_line(error)}); get a new copy") from error
