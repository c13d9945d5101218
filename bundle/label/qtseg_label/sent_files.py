# SPDX-License-Identifier: Apache-2.0

"""Labels in formats that are no formats of images: NRRD volumes, and polygons in ASAP's XML format.

A client may send a small file that unpacks to a huge one, or that names another file. So nothing is unpacked further
than the size of the image, and nothing but the file itself is read.
"""

from __future__ import annotations

import bz2
import io
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from scripts.common.errors import InputError

__all__ = ["drawn_polygons", "nrrd_slices"]

_WIDEST = 8  # bytes of the largest type of NRRD's numbers
_LONGEST = 32  # characters of a number written as text, with the space after it
_ELSEWHERE = {"data file", "datafile", "byte skip", "byteskip", "line skip", "lineskip", "block size", "blocksize"}

_FARTHEST = 1e7  # pixels from the image's corner
_BAND = 4  # rows of the image that are drawn at a time
_MOST_WORK = 2e9  # pixels of bands times corners near them, which takes some ten seconds


def nrrd_slices(path: str, image: str, size: tuple[int, int], slices: int) -> list[NDArray[Any]]:
    """Read an NRRD volume. It stores columns first.

    Args:
        path: path of the volume.
        image: path of the image that the volume is a label of, for messages.
        size: (H, W) of the image in pixels.
        slices: number of slices of the image.

    Returns:
        The values of each slice, (H, W).

    Raises:
        InputError: if the volume cannot be read, or has another size than the image.
    """
    try:
        with open(path, "rb") as file:
            header = nrrd.read_header(file)
            shape = tuple(int(side) for side in header["sizes"])
            _check_shape(path, image, shape, size, slices)
            if any(header.get(name) for name in _ELSEWHERE):
                raise ValueError("its data lie elsewhere than after its header")
            packed = file.read()
        numbers = size[0] * size[1] * slices
        values = _unpacked(packed, str(header["encoding"]), numbers)
        voxels = nrrd.read_data({**header, "encoding": values[0]}, io.BytesIO(values[1]))
        if values[0] == "raw" and voxels.nbytes != len(values[1]):
            raise ValueError("it has more data than its header tells")
    except InputError:
        raise
    except Exception as error:  # pynrrd raises its own errors and those of NumPy and Python
        raise InputError(f"{path} cannot be read ({error}); send the label anew") from error
    return list(voxels.reshape(size[1], size[0], slices).transpose(2, 1, 0))


def _check_shape(path: str, image: str, shape: tuple[int, ...], size: tuple[int, int], slices: int) -> None:
    if slices == 1 and (len(shape) < 2 or max(shape[2:], default=1) > 1):
        raise InputError(f"{path} has the shape {shape}; send a label of one slice")
    if (*shape, 1)[:3] != (size[1], size[0], slices) or max(shape[3:], default=1) != 1 or min(shape) < 1:
        seen = (*shape[1::-1], *(shape[2:] if slices > 1 else ()))
        raise InputError(f"{path} has the shape {seen}, but {image} {size}; label it anew")


def _unpacked(packed: bytes, encoding: str, numbers: int) -> tuple[str, bytes]:
    """Unpack the data of an NRRD file, but not more than the numbers need. Return their encoding, and the data."""
    if encoding in ("gzip", "gz"):
        unpacker: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif encoding in ("bzip2", "bz2"):
        unpacker = bz2.BZ2Decompressor()
    else:
        most = numbers * (_WIDEST if encoding == "raw" else _LONGEST)
        if len(packed) > most:
            raise ValueError(f"it has more data than {numbers} numbers need")
        return encoding, packed
    values = unpacker.decompress(packed, numbers * _WIDEST + 1)
    if len(values) > numbers * _WIDEST:
        raise ValueError(f"it unpacks to more than {numbers} numbers need")
    return "raw", values


def drawn_polygons(path: str, size: tuple[int, int], labels: Mapping[str, int]) -> NDArray[np.uint8]:
    """Draw the polygons of an XML file of ASAP.

    Args:
        path: path of the file.
        size: (H, W) of the image in pixels.
        labels: ids of the foreground classes, by name.

    Returns:
        Label ids, (H, W) uint8.

    Raises:
        InputError: if the file cannot be read, or has polygons of unknown classes.
    """
    ids = np.zeros(size, np.uint8)
    work = 0.0
    try:
        for number, corners in _polygons(path, labels):
            if len(corners) < 3:
                continue
            places = np.array(corners)
            if not (np.abs(places) < _FARTHEST).all():  # also false for NaN
                raise ValueError(f"a corner of a polygon is no place within {_FARTHEST:g} pixels")
            for _, band, near in _bands(places, ids):
                work += 10 * len(places) + len(near) * band.size
                if work > _MOST_WORK:
                    raise ValueError("its polygons have too many corners to draw; simplify them in the viewer")
            for first, band, near in _bands(places, ids):
                band[polygon(near[:, 0] - first, near[:, 1], band.shape)] = number
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read ({error}); send the label anew") from error
    return ids


def _bands(
    places: NDArray[np.floating], ids: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.floating]]]:
    """Cut the rows of a polygon into bands, as skimage compares every pixel with every corner.

    Yields:
        The first row of a band, the band of ``ids``, and the corners of the polygon that matter in the band: of a run
        of corners above or below the band, only the first and the last.
    """
    top, bottom = max(int(places[:, 0].min()), 0), min(int(places[:, 0].max()) + 1, len(ids))
    for first in range(top, bottom, _BAND):
        last = min(first + _BAND, bottom) - 1
        side = np.sign(places[:, 0] - places[:, 0].clip(first, last))
        near = places[(side == 0) | (side != np.roll(side, 1)) | (side != np.roll(side, -1))]
        if len(near):
            yield first, ids[first : last + 1], near


def _polygons(path: str, labels: Mapping[str, int]) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """Yield the class and the corners, as (row, column) in pixels, of each polygon in an XML file of ASAP."""
    root = ElementTree.parse(path, ElementTree.XMLParser(target=_Tree())).getroot()
    for annotation in root.iter("Annotation"):
        group = annotation.get("PartOfGroup", "")
        number = labels.get(group, next(iter(labels.values())) if len(labels) == 1 else 0)
        if number == 0:
            raise InputError(f"{path} has polygons of {group!r}, which is no class; its classes are {list(labels)}")
        points = sorted(annotation.iter("Coordinate"), key=lambda point: int(point.get("Order", 0)))
        yield number, [(float(point.get("Y", 0)) - 0.5, float(point.get("X", 0)) - 0.5) for point in points]


class _Tree(ElementTree.TreeBuilder):
    """The elements of an XML file. A document type is refused, as its entities can name files or grow without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it declares a document type, which no viewer sends")
