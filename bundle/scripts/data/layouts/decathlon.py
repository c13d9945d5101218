# SPDX-License-Identifier: Apache-2.0

"""The layout of datasets with a ``dataset.json``, as in the Medical Segmentation Decathlon, MONAI and nnU-Net."""

from __future__ import annotations

import os
import reprlib
from collections import Counter
from os import PathLike
from pathlib import Path
from typing import Any

from ...common.errors import InputError
from ...common.files import read_json
from ...image_io.formats.registry import stem
from .files import Item, dataset_folder, image_files, is_image

__all__ = ["from_decathlon"]

_TREE = """
  <dataset_dir>/dataset.json    {"training": [{"image": "imagesTr/a.png", "label": "labelsTr/a.png"}, ...]}
or as nnU-Net has it:
  <dataset_dir>/dataset.json    {"file_ending": ".png", ...}
  <dataset_dir>/imagesTr/<name>_0000.png
  <dataset_dir>/labelsTr/<name>.png"""
_SECTIONS = {"training": "train", "train": "train"}
_SECTIONS |= {"validation": "val", "val": "val", "testing": "test", "test": "test"}


def from_decathlon(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the images and masks of a 2D dataset in the form of the Decathlon or of nnU-Net.

    Images without masks are left out.

    Args:
        dataset_dir: folder that holds ``dataset.json``.

    Returns:
        Items ``{"image": path, "label": path}``, in the order of ``dataset.json`` or, for nnU-Net, sorted by name. They
        have a ``"part"`` (train, val or test) if validation or test images have masks too.

    Raises:
        InputError: if ``dataset.json`` is missing or has another form, if a listed file is missing or is no image, or
            if an image has several files (one for every channel).
    """
    folder = dataset_folder(dataset_dir, _TREE)
    path = folder / "dataset.json"
    if not os.path.isfile(path):
        raise InputError(f"{folder} has no file dataset.json; expected is{_TREE}")
    content = read_json(path, cure=f"expected is{_TREE}")
    if "file_ending" in content:
        items = _nnunet(folder, "Tr", part="train") + _nnunet(folder, "Ts", part="test")
    else:
        items = [item for name, part in _SECTIONS.items() for item in _listed(path, content.get(name, []), part)]
    if not items:
        raise InputError(f"{path} lists no image with a mask; expected is{_TREE}")
    for name, count in Counter(os.path.realpath(item["image"]) for item in items).items():
        if count > 1:
            raise InputError(f"{path} lists {name} {count} times; leave it in one place")
    if all(item["part"] == "train" for item in items):
        return [{"image": item["image"], "label": item["label"]} for item in items]
    return items


def _listed(path: Path, entries: Any, part: str) -> list[Item]:
    if not isinstance(entries, list):
        raise InputError(f"{path} has a {type(entries).__name__} where a list is expected:{_TREE}")
    labelled = [entry for entry in entries if isinstance(entry, dict) and "label" in entry]
    if part == "train" and len(labelled) < len(entries):
        raise InputError(f"{path} has {reprlib.repr(entries[0])} among its training images; expected is{_TREE}")
    return [{key: _file(path, entry.get(key)) for key in ("image", "label")} | {"part": part} for entry in labelled]


def _file(path: Path, name: Any) -> str:
    if not isinstance(name, str):
        raise InputError(f"{path} names {reprlib.repr(name)}; expected is the path of one image file")
    file = path.parent / name  # an absolute name stays as it is
    if not os.path.isfile(file):
        raise InputError(f"{path} lists {name}, but there is no {file}; add the file, or remove the line")
    if not is_image(file):
        raise InputError(f"{path} lists {name}, which is no 2D image; save PNG or TIFF slices")
    return str(file)


def _nnunet(folder: Path, ending: str, part: str) -> list[Item]:
    image_folder, mask_folder = folder / f"images{ending}", folder / f"labels{ending}"
    if part == "test" and not (image_folder.is_dir() and mask_folder.is_dir()):
        return []
    for needed in (image_folder, mask_folder):
        if not needed.is_dir():
            raise InputError(f"{folder} has no folder {needed.name}/; expected is{_TREE}")
    images = {stem(image): image for image in image_files(image_folder)}
    items = []
    for mask in image_files(mask_folder):
        name = stem(mask)
        image = images.pop(f"{name}_0000", None)
        if image is None:
            raise InputError(f"{mask} has no image {name}_0000{mask.name[len(name):]} in {image_folder}; add it")
        if f"{name}_0001" in images:
            raise InputError(
                f"{image} is one of several files of an image, one for each channel; save them as one gray or RGB file"
            )
        items.append({"image": str(image), "label": str(mask), "part": part})
    if images:
        image = next(iter(images.values()))
        raise InputError(f"{image} has no mask of the same name in {mask_folder}; add it, or remove the image")
    return items
