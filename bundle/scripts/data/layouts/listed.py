# SPDX-License-Identifier: Apache-2.0

"""Images that the config itself lists, instead of naming a dataset's folder. MONAI Label and other callers do so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...common.active_config import calling_parser
from ...common.errors import InputError
from .files import Item

__all__ = ["Listed", "listed_images"]

_TRAIN, _VALIDATE = "train#dataset#data", "validate#dataset#data"


@dataclass(frozen=True)
class Listed:
    """Images and labels that a config lists.

    Attributes:
        items: items with ``"image"``, ``"label"`` and ``"part"``. The part is train, or test for the images that are
            scored and that the epoch is chosen on.
        folder: path of the folder that holds all images, directly or in its subfolders.
    """

    items: list[Item]
    folder: str


def listed_images() -> Listed | None:
    """Return the images and labels that ``train#dataset#data`` and ``validate#dataset#data`` of the config list.

    Only an expression in a config can call this function.

    Returns:
        The images and labels; None if the two entries are the expressions of ``train.json``, which use the dataset's
        folder.

    Raises:
        InputError: if only one of the entries is a list, if a list is empty, or if a list has an entry without an image
            or without a label.
        RuntimeError: if the caller is not a config.
    """
    parser = calling_parser()
    lists = {name: parser.get(name) for name in (_TRAIN, _VALIDATE)}
    if not any(isinstance(entries, list) for entries in lists.values()):
        return None
    items = [
        _item(name, entry, part)
        for (name, entries), part in zip(lists.items(), ("train", "test"))
        for entry in _entries(name, entries)
    ]
    return Listed(items, os.path.commonpath([Path(item["image"]).absolute().parent for item in items]))


def _entries(name: str, entries: object) -> list[object]:
    if not isinstance(entries, list) or not entries:
        problem = "no image" if isinstance(entries, list) else "no list, as the other has"
        raise InputError(
            f"{name} has {problem}; list images to train on in {_TRAIN}, and others, to choose the epoch on, in "
            f"{_VALIDATE} (in MONAI Label: label at least 4 images, and set val_split to 0.2)"
        )
    return entries


def _item(name: str, entry: object, part: str) -> Item:
    if not isinstance(entry, dict) or not {"image", "label"} <= set(entry):
        raise InputError(f'{name} has the entry {entry!r}; expected is {{"image": "a.png", "label": "mask_of_a.png"}}')
    return {"image": entry["image"], "label": entry["label"], "part": part}
