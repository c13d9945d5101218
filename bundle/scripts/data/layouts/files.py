# SPDX-License-Identifier: Apache-2.0

"""Find image files in folders, and pair them with their masks. All layouts use these functions."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ...common.errors import InputError
from ...common.files import user_path
from ...image_io.formats.registry import has_image_suffix, image_suffixes, stem

__all__ = [
    "Item",
    "check_stems",
    "dataset_folder",
    "first_names",
    "folder_of",
    "image_files",
    "is_image",
    "is_visible",
    "pairs",
]

#: An image of a dataset, as the layouts list it. Its keys are:
#:
#: - ``"image"``: path of the image.
#: - ``"label"``: path of the mask, or a list of paths if the mask has several parts.
#: - ``"part"``: the official part of the image, "train", "val" or "test". It is missing if the dataset is not divided.
#: - ``"fold"``: number of the fold that scores the image. It is missing if the dataset names no folds.
#: - ``"stratum"``: the kind of the image. It is missing if all images are of one kind.
#:
#: The items of a fold have ``"image"``, ``"label"`` and ``"group"``, the name of the group that the image belongs to.
Item = dict[str, Any]

_MASK_ENDING = re.compile("(_mask|_segmentation)$", re.IGNORECASE)
_SHOWN = 3  # file names in a message


def dataset_folder(dataset_dir: str | PathLike[str] | None, tree: str) -> Path:
    """Return the dataset's folder that the user has set.

    Args:
        dataset_dir: path of the folder as the user wrote it; None if it is not set.
        tree: the expected files in the folder, for the message.

    Raises:
        InputError: if the path is not set or is not an existing folder.
    """
    if dataset_dir is None:  # the default in the configs
        raise InputError(f"dataset_dir is not set; give --dataset_dir a folder:{tree}")
    folder = user_path(dataset_dir)
    if not os.path.exists(folder):
        raise InputError(f"{folder} does not exist; give --dataset_dir an existing folder:{tree}")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give --dataset_dir a folder:{tree}")
    return folder


def folder_of(parent: Path, *names: str, tree: str) -> Path:
    """Return the only folder in ``parent`` that has one of several names.

    Args:
        parent: folder that holds the folder.
        names: possible names of the folder.
        tree: the expected files in the dataset's folder, for the message.

    Raises:
        InputError: if there is no such folder, or more than one.
    """
    folders = [parent / name for name in names if (parent / name).is_dir()]
    if not folders:
        raise InputError(f"{parent} has no folder {' or '.join(f'{name}/' for name in names)}; expected is{tree}")
    if len(folders) > 1:
        both = " and ".join(f"{path.name}/" for path in folders)
        raise InputError(f"{parent} has both {both}; keep the one to use, and rename the other")
    return folders[0]


def is_visible(path: Path) -> bool:
    """Return whether a file is visible to the user.

    Windows writes Thumbs.db by itself, and macOS writes .DS_Store and files that start with ``._``.
    """
    return not path.name.startswith(".") and path.name.lower() != "thumbs.db"


def is_image(path: Path) -> bool:
    """Return whether a path is a visible file with the suffix of a supported image format."""
    return is_visible(path) and has_image_suffix(path) and os.path.isfile(path)


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder, sorted by name. Other entries are left out, and the log counts them.

    Raises:
        InputError: if the folder holds no image.
    """
    entries = [path for path in folder.iterdir() if is_visible(path)]
    images = [path for path in entries if is_image(path)]
    if len(images) < len(entries):
        others = len(entries) - len(images)
        logging.getLogger("qtseg").info(f"{folder}: left out {others} entries that are no image files")
    if not images:
        raise InputError(f"{folder} holds no image; supported are {', '.join(sorted(image_suffixes()))}")
    return sorted(images, key=lambda path: path.name)


def check_stems(paths: Iterable[Path]) -> None:
    """Refuse files whose names differ in their suffix only.

    Raises:
        InputError: if there are two such files. The message names both.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        twin = seen.setdefault(_stem(path), path)
        if twin is not path:
            raise InputError(f"{twin} and {path.name} differ in their suffix only; rename one of them or remove it")


def pairs(image_folder: Path, mask_folder: Path, **facts: str) -> list[Item]:
    """Pair the files of two folders by name.

    The name of a mask, without its suffix, is the name of its image, or this name and ``_mask`` or ``_segmentation``
    (in upper or lower case). The suffixes of images and masks may differ.

    Args:
        image_folder: folder that holds the images.
        mask_folder: folder that holds the masks.
        facts: further entries for every item, such as ``part``.

    Returns:
        Items ``{"image": path, "label": path, **facts}``, sorted by the name of the image file.

    Raises:
        InputError: if a folder holds no image, if an image has no mask or a mask no image, or if a name is ambiguous.
    """
    images, masks = image_files(image_folder), image_files(mask_folder)
    check_stems(images)
    check_stems(masks)
    by_stem: dict[str, list[Path]] = {}
    for mask in masks:
        stem = _stem(mask)
        for name in {stem, _MASK_ENDING.sub("", stem)}:
            by_stem.setdefault(name, []).append(mask)
    items, without_mask, owner = [], [], dict[Path, Path]()
    for image in images:
        matches = by_stem.get(_stem(image), [])
        if len(matches) > 1:
            raise InputError(f"{image} fits {' and '.join(mask.name for mask in matches)}; keep one mask, or rename")
        if not matches:
            without_mask.append(image)
        elif (other := owner.setdefault(matches[0], image)) is not image:
            raise InputError(f"{matches[0]} fits {other.name} and {image.name}; give each image a mask of its own")
        else:
            items.append({"image": str(image), "label": str(matches[0]), **facts})
    _refuse_single(without_mask, "no mask", mask_folder, "add the masks, or remove these images")
    without_image = [mask for mask in masks if mask not in owner]
    cure = "add the images; if an image has several masks, unite them into one file"
    _refuse_single(without_image, "no image", image_folder, cure)
    return items


def first_names(paths: Sequence[str | PathLike[str]]) -> str:
    """Return the names of the first few files, with dots if there are more."""
    return ", ".join(Path(path).name for path in paths[:_SHOWN]) + (", ..." if len(paths) > _SHOWN else "")


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", stem(path))  # macOS writes a letter with an accent as two characters


def _refuse_single(single: Sequence[Path], partner: str, searched: Path, cure: str) -> None:
    """Refuse images without a mask, or masks without an image, if there are any."""
    if single:
        raise InputError(
            f"{len(single)} file(s) in {single[0].parent} have {partner} of the same name in {searched}: "
            f"{first_names(single)}; {cure}"
        )
