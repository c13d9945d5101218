# SPDX-License-Identifier: Apache-2.0

"""Labels in the formats of clients: PNG, NIfTI, NRRD, and polygons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from scripts.common.errors import InputError
from scripts.common.limits import MAX_CLASSES
from scripts.image_io.contours import polygons
from scripts.image_io.formats.pixels import Pixels
from scripts.image_io.formats.registry import FORMATS, format_named, format_of, label_suffixes
from scripts.image_io.mask_rules import label_ids
from scripts.image_io.pages import read_pages
from scripts.image_io.pictures import PALETTE

from .sent_files import drawn_polygons, nrrd_slices

__all__ = [
    "EXTENSIONS",
    "IMAGE_SUFFIXES",
    "LABEL_SUFFIXES",
    "SENT_SUFFIXES",
    "annotations",
    "check_label",
    "read_label",
    "write_label",
]

#: Suffixes of the images that the datastore takes.
IMAGE_SUFFIXES = tuple(suffix for row in FORMATS if row.in_datastore for suffix in row.suffixes)

#: Suffixes of the labels that the datastore takes. NRRD and XML files are labels only, never images.
SENT_SUFFIXES = (*IMAGE_SUFFIXES, ".nrrd", ".xml")

#: Suffixes of the files that masks can be written to. JPEG is not among them, because it would blur a mask.
LABEL_SUFFIXES = (*label_suffixes(), ".nrrd")

#: Patterns of the files that the datastore searches for, in lower and upper case.
EXTENSIONS = [f"*{spelling}" for suffix in SENT_SUFFIXES for spelling in (suffix, suffix.upper())]

# A label may have this many bytes, and this many more for each pixel of its image. Eight bytes are a number of 64 bits;
# a corner of a polygon has some 60 bytes.
_BYTES, _BYTES_PER_PIXEL = 2**20, 64


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
    ids = check_label(path, image, labels)
    if len(ids) != 1:
        raise InputError(f"{image} has {len(ids)} pages, frames or slices; save each one as an image of its own")
    return ids[0]


def check_label(path: str, image: str, labels: Mapping[str, int]) -> list[NDArray[np.uint8]]:
    """Read the label of an image or of a volume. Its header must tell the size of the image before it is unpacked.

    Args:
        path: path of the label, as for :py:func:`read_label`.
        image: path of the image or volume that the label belongs to.
        labels: ids of the foreground classes, by name.

    Returns:
        Label ids of the pages, frames or slices, each (H, W) uint8.

    Raises:
        InputError: if the label cannot be read, has ids that are no class, or has another size than the image.
    """
    with format_of(image).open(image) as opened:
        size, pages = opened.size, opened.pages
    bytes_, most = Path(path).stat().st_size, _BYTES + _BYTES_PER_PIXEL * size[0] * size[1] * pages
    if bytes_ > most:
        raise InputError(f"{path} has {bytes_} bytes; a label of {Path(image).name} has at most {most}: save it anew")
    if path.endswith(".xml"):
        return [drawn_polygons(path, size, labels)] * pages
    classes = 2 if len(labels) == 1 else MAX_CLASSES  # with one class, the value 255 stands for it too
    if path.endswith(".nrrd"):
        slices = [Pixels(values) for values in nrrd_slices(path, image, size, pages)]
    else:
        _check_size(path, image, size, pages)
        slices = read_pages(path, size[0] * size[1] * pages)
    ids = [label_ids(pixels, classes, path) for pixels in slices]
    unknown = {id_ for slice_ in ids for id_ in np.unique(slice_).tolist()} - {0, *labels.values()}
    if unknown:
        raise InputError(f"{path} has the id(s) {sorted(unknown)}, which are no class; its classes are {dict(labels)}")
    return ids


def _check_size(path: str, image: str, size: tuple[int, int], pages: int) -> None:
    """Check the size that the header of a label tells."""
    with format_of(path).open(path) as opened:
        if (opened.size, opened.pages) != (size, pages):
            of_pages = f" on {opened.pages} pages" if opened.pages != 1 else ""
            raise InputError(f"{path} has the shape {opened.size}{of_pages}, but {image} {size}; label it anew")
