# SPDX-License-Identifier: Apache-2.0

"""The layout of a user's own folder of images and masks."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

from ...common.errors import InputError
from .files import Item, dataset_folder, folder_of, pairs

__all__ = ["from_folder"]

_TREE = """
  <dataset_dir>/images/<name>.png
  <dataset_dir>/masks/<name>.png    (or labels/; <name>_mask or <name>_segmentation will do)
or the same below <dataset_dir>/train/, val/ and test/"""
_PARTS = ("train", "val", "test")


def from_folder(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the pairs of files in ``images/`` and ``masks/`` (or ``labels/``).

    These folders may also lie in the parts ``train/``, ``val/`` and ``test/``. Hidden files and files of other types
    are left out; the log counts the files of other types. Lists of names such as ``train.txt`` are not read; the log
    says how to use them.

    Args:
        dataset_dir: path of the folder.

    Returns:
        Items ``{"image": path, "label": path}``, sorted by name. They have a ``"part"`` if the folder has parts.

    Raises:
        InputError: if a folder is missing or empty, if an image has no mask or a mask no image, or if a name is
            ambiguous.
    """
    folder = dataset_folder(dataset_dir, _TREE)
    if folder.name == "stage1_train":
        raise InputError(
            f"{folder} is a part of the Data Science Bowl 2018; give its parent, {folder.parent}, as --dataset_dir, "
            "and add configs/datasets/dsb2018.json to --config_file"
        )
    if (folder / "dataset.json").is_file() and not (folder / "images").is_dir():
        raise InputError(f"{folder} has a dataset.json; add --layout decathlon")
    parts = [part for part in _PARTS if (folder / part).is_dir()]
    if not parts:
        _warn_of_lists(folder)
        return _pairs(folder)
    if (folder / "images").is_dir():
        raise InputError(f"{folder} has both images/ and {parts[0]}/; keep the one to use, and rename the other")
    if "train" not in parts or len(parts) < 2:
        raise InputError(f"{folder} has {parts[0]}/ alone; expected are train/ and test/ (or val/, or both):{_TREE}")
    return [item for part in parts for item in _pairs(folder / part, part=part)]


def _warn_of_lists(folder: Path) -> None:
    """Log that lists of names, such as ``train.txt``, are not read, if the folder has any."""
    lists = [f"{part}.txt" for part in _PARTS if (folder / f"{part}.txt").is_file()]
    if lists:
        logging.getLogger("qtseg").warning(
            f"{folder}: left out {', '.join(lists)}; to divide the images so, write the names into a file folds.json, "
            '[{"train": ["a", "b", ...], "val": [...], "test": [...]}], and give its path by --split'
        )


def _pairs(folder: Path, **facts: str) -> list[Item]:
    return pairs(folder_of(folder, "images", tree=_TREE), folder_of(folder, "masks", "labels", tree=_TREE), **facts)
