# SPDX-License-Identifier: Apache-2.0

"""The layout of datasets with a ``dataset.json``, as in the Medical Segmentation Decathlon, MONAI and nnU-Net."""

from __future__ import annotations

import os
import reprlib
from collections import Counter
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ...common.errors import InputError
from ...common.files import read_json
from ...common.knobs import is_whole
from ...image_io.formats.registry import stem
from .files import Item, dataset_folder, image_files, is_image

__all__ = ["class_names_of_decathlon", "from_decathlon"]

_TREE = """
  <dataset_dir>/dataset.json    {"training": [{"image": "imagesTr/a.png", "label": "labelsTr/a.png"}, ...]}
or as nnU-Net has it:
  <dataset_dir>/dataset.json    {"file_ending": ".png", ...}
  <dataset_dir>/imagesTr/<name>_0000.png
  <dataset_dir>/labelsTr/<name>.png"""
_LABELS = 'expected is {"background": 0, "tumor": 1, ...} or {"0": "background", "1": "tumor", ...}'
_SECTIONS = {"training": "train", "train": "train"}
_SECTIONS |= {"validation": "val", "val": "val", "testing": "test", "test": "test"}


def from_decathlon(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the images and masks of a 2D dataset in the form of the Decathlon or of nnU-Net.

    Images without masks are left out.

    Args:
        dataset_dir: folder that holds ``dataset.json``.

    Returns:
        Items ``{"image": path, "label": path}``, in the order of ``dataset.json`` or, for nnU-Net, sorted by name. They
        have a ``"part"`` (train, val or test) if validation or test images have masks too, and a ``"fold"`` if the
        training images have one, as in MONAI's lists for Auto3DSeg.

    Raises:
        InputError: if ``dataset.json`` is missing or has another form, if a listed file is missing or is no image, if
            an image has several files (one for every channel), if only some training images have a fold, or if the
            labels are not as :py:func:`class_names_of_decathlon` needs them.
    """
    path, content = _read(dataset_dir)
    folder = path.parent
    _class_names(path, content)
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
        return [{name: value for name, value in item.items() if name != "part"} for item in items]
    return items


def class_names_of_decathlon(dataset_dir: str | PathLike[str] | None) -> list[str]:
    """Return the names of the classes, by their ids, as ``labels`` in ``dataset.json`` states them.

    Args:
        dataset_dir: folder that holds ``dataset.json``.

    Returns:
        The names, with that of the background first; empty if the file states no labels.

    Raises:
        InputError: if the labels are regions, if one is to be ignored, or if their ids are not 0, 1, 2 and so on.
    """
    return _class_names(*_read(dataset_dir))


def _read(dataset_dir: str | PathLike[str] | None) -> tuple[Path, dict[str, Any]]:
    """Return the path and the content of ``dataset.json``."""
    folder = dataset_folder(dataset_dir, _TREE)
    path = folder / "dataset.json"
    if not os.path.isfile(path):
        raise InputError(f"{folder} has no file dataset.json; expected is{_TREE}")
    return path, read_json(path, cure=f"expected is{_TREE}")


def _class_names(path: Path, content: Mapping[str, Any]) -> list[str]:
    labels = content.get("labels") or {}
    if isinstance(labels, list):
        labels = {str(number): name for number, name in enumerate(labels)}
    if not isinstance(labels, dict):
        raise InputError(f"{path} has the labels {reprlib.repr(labels)}; {_LABELS}")
    by_id = dict(_id_and_name(path, key, value) for key, value in labels.items())
    for number, name in by_id.items():
        if name.casefold().startswith("ignore"):
            raise InputError(
                f'{path} has the label "{name}" ({number}), for pixels to be left out of the training, which is not '
                "supported; give these pixels a class in the masks, or crop them away, and remove the label"
            )
    if sorted(by_id) != list(range(len(labels))):
        raise InputError(f"{path} has the labels {reprlib.repr(labels)}, with ids that are not 0, 1, 2 ...; {_LABELS}")
    return [by_id[number] for number in range(len(by_id))]


def _id_and_name(path: Path, key: str, value: Any) -> tuple[int, str]:
    """Read a label, which nnU-Net writes as ``"name": id``, and the Decathlon as ``"id": "name"``."""
    if isinstance(value, list):
        raise InputError(
            f'{path} has the label "{key}" of several ids, {value}, which is a region; regions are not supported: give '
            "each class one id, in the masks too"
        )
    number, name = (key, value) if isinstance(value, str) and not value.isdecimal() else (value, key)
    if not str(number).isdecimal():
        raise InputError(f'{path} has the label "{key}": {reprlib.repr(value)}; {_LABELS}')
    return int(number), str(name)


def _listed(path: Path, entries: Any, part: str) -> list[Item]:
    if not isinstance(entries, list):
        raise InputError(f"{path} has a {type(entries).__name__} where a list is expected:{_TREE}")
    labelled = [entry for entry in entries if isinstance(entry, dict) and "label" in entry]
    if part == "train" and len(labelled) < len(entries):
        raise InputError(f"{path} has {reprlib.repr(entries[0])} among its training images; expected is{_TREE}")
    items: list[Item] = [
        {key: _file(path, entry.get(key)) for key in ("image", "label")} | {"part": part} for entry in labelled
    ]
    folds = [entry.get("fold") for entry in labelled] if part == "train" else []
    if any(fold is not None for fold in folds):
        wrong = next((entry for entry, fold in zip(labelled, folds) if not is_whole(fold)), None)
        if wrong is not None:
            raise InputError(
                f"{path} gives a fold to some training images, and {reprlib.repr(wrong.get('fold'))} to "
                f"{wrong['image']}; give each one a number, 0, 1, 2 ..., or remove all"
            )
        items = [{**item, "fold": fold} for item, fold in zip(items, folds)]
    return items


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
