# SPDX-License-Identifier: Apache-2.0

"""Labels in the formats of clients: PNG, NIfTI, NRRD, and polygons."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from scripts.common.errors import InputError
from scripts.common.limits import MAX_CLASSES
from scripts.image_io.contours import polygons
from scripts.image_io.formats.pixels import Pixels
from scripts.image_io.formats.registry import FORMATS, format_named, label_suffixes
from scripts.image_io.mask_rules import label_ids
from scripts.image_io.pictures import PALETTE
from scripts.image_io.readers import ImageFileReader, MaskFileReader

__all__ = ["EXTENSIONS", "LABEL_SUFFIXES", "annotations", "read_label", "write_label"]

# NRRD and XML files are labels only, never images.
_SUFFIXES = (*(suffix for row in FORMATS if row.in_datastore for suffix in row.suffixes), ".nrrd", ".xml")

#: Suffixes of the files that masks can be written to. JPEG is not among them, because it would blur a mask.
LABEL_SUFFIXES = (*label_suffixes(), ".nrrd")

#: Patterns of the files that the datastore searches for, in lower and upper case.
EXTENSIONS = [f"*{spelling}" for suffix in _SUFFIXES for spelling in (suffix, suffix.upper())]


def annotations(ids: NDArray[np.uint8], labels: Mapping[str, int]) -> dict[str, Any]:
    """Return the objects of a mask as polygons, in the form that MONAI Label's clients for pathology and CVAT read.

    Args:
        ids: label ids, (H, W) uint8.
        labels: ids of the foreground classes, by name.
    """
    elements = []
    for name, number in labels.items():
        contours = [_bridged(rings) for rings in polygons(ids == number)]
        if contours:
            elements.append({"label": name, "contours": contours})
    height, width = ids.shape
    colors = {name: PALETTE[number].tolist() for name, number in labels.items()}
    return {"location": [0, 0], "size": [width, height], "elements": elements, "labels": colors}


def _bridged(rings: list[list[list[float]]]) -> list[list[float]]:
    """Return one polygon for an object with holes, because clients have no polygons with holes.

    The outline is cut open and joined to each hole where the two are nearest.
    """
    outline = rings[0][:-1]
    for ring in rings[1:]:
        hole = ring[:-1]
        distances = np.square(np.array(outline)[:, None] - np.array(hole)[None]).sum(-1)
        at, start = (int(i) for i in np.unravel_index(distances.argmin(), distances.shape))
        around = [*hole[start:], *hole[: start + 1]]
        outline = [*outline[: at + 1], *around, *outline[at:]]
    return outline


def write_label(ids: NDArray[np.uint8], image: str, path: str) -> None:
    """Write label ids to a file, in the format of its suffix.

    Args:
        ids: label ids, (H, W) or (H, W, D) uint8.
        image: path of the image that the label belongs to. A NIfTI mask of a NIfTI image gets the position in space of
            the image.
        path: path of the file, which ends in one of :py:data:`LABEL_SUFFIXES`.

    Raises:
        InputError: if the format cannot hold a volume.
    """
    slices = ids if ids.ndim == 3 else ids[..., None]
    row = format_named(path)
    if row is None or row.write_label is None:  # .nrrd
        space = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
        nrrd.write(path, slices.transpose(1, 0, 2), space)  # NRRD stores columns first
        return
    source = image if format_named(image) is row else None
    if row.is_volume:
        row.write_label(np.moveaxis(slices, -1, 0), source, path)
    elif ids.ndim == 3:
        raise InputError(f"a volume cannot be written as {Path(path).suffix}; ask for .nii.gz or .nrrd")
    else:
        row.write_label(ids, source, path)


def read_label(path: str, image: str, labels: Mapping[str, int]) -> NDArray[np.uint8]:
    """Read the label of a 2D image that a client has sent.

    Args:
        path: path of the label: a picture, NIfTI, NRRD, or polygons in ASAP's XML format, which QuPath sends.
        image: path of the image that the label belongs to.
        labels: ids of the foreground classes, by name.

    Returns:
        Label ids, (H, W) uint8.

    Raises:
        InputError: if the label cannot be read, has ids that are no class, or has another size than the image.
    """
    size = ImageFileReader().get_data([image])[0].shape[:2]
    if path.endswith(".xml"):
        return _drawn(path, size, labels)
    classes = 2 if len(labels) == 1 else MAX_CLASSES  # with one class, the value 255 stands for it too
    if path.endswith(".nrrd"):
        ids = label_ids(Pixels(_of_nrrd(path)), classes, path)
    else:
        ids = MaskFileReader(classes).get_data([path])[0]
    unknown = set(np.unique(ids).tolist()) - {0, *labels.values()}
    if unknown:
        raise InputError(f"{path} has the id(s) {sorted(unknown)}, which are no class; its classes are {dict(labels)}")
    if ids.shape != size:
        raise InputError(f"{path} has the shape {ids.shape}, but {image} {size}; label it anew")
    return ids


def _of_nrrd(path: str) -> NDArray[Any]:
    """Read an NRRD volume of one slice, which stores columns first, as values (H, W)."""
    try:
        voxels = nrrd.read(path)[0]
    except Exception as error:  # pynrrd raises its own errors and those of NumPy and Python
        raise InputError(f"{path} cannot be read ({error}); send the label anew") from error
    if voxels.ndim < 2 or max(voxels.shape[2:], default=1) > 1:
        raise InputError(f"{path} has the shape {voxels.shape}; send a label of one slice")
    return voxels.reshape(voxels.shape[:2]).T


def _drawn(path: str, size: tuple[int, int], labels: Mapping[str, int]) -> NDArray[np.uint8]:
    """Draw the polygons of an XML file as label ids of a size (H, W) in pixels."""
    ids = np.zeros(size, np.uint8)
    try:
        for number, corners in _polygons(path, labels):
            if len(corners) >= 3:
                ids[polygon2mask(size, np.array(corners))] = number
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read ({error}); send the label anew") from error
    return ids


def _polygons(path: str, labels: Mapping[str, int]) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """Yield the class and the corners, as (row, column) in pixels, of each polygon in an XML file of ASAP."""
    root = ElementTree.parse(path).getroot()
    for annotation in root.iter("Annotation"):
        group = annotation.get("PartOfGroup", "")
        number = labels.get(group, next(iter(labels.values())) if len(labels) == 1 else 0)
        if number == 0:
            raise InputError(f"{path} has polygons of {group!r}, which is no class; its classes are {list(labels)}")
        points = sorted(annotation.iter("Coordinate"), key=lambda point: int(point.get("Order", 0)))
        yield number, [(float(point.get("Y", 0)) - 0.5, float(point.get("X", 0)) - 0.5) for point in points]
