# SPDX-License-Identifier: Apache-2.0

"""Find image files in folders and pair them with their masks; what all layouts share."""

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
from ...common.files import given_path
from ...image_io.formats import has_image_suffix, image_suffixes, stem

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

Item = dict[str, Any]

_MASK_ENDING = re.compile("(_mask|_segmentation)$", re.IGNORECASE)
_SHOWN = 3  # file names in a message


def dataset_folder(dataset_dir: str | PathLike[str] | None, tree: str) -> Path:
    """The folder that a user has named.

    Args:
        dataset_dir: as given; None where nothing was.
        tree: what is expected in it, for the message.

    Raises:
        InputError: if it is no existing folder.
    """
    if dataset_dir is None:  # what a config says where the user has said nothing
        raise InputError(f"dataset_dir is not set; give --dataset_dir a folder:{tree}")
    folder = given_path(dataset_dir)
    if not os.path.exists(folder):
        raise InputError(f"{folder} does not exist; give --dataset_dir an existing folder:{tree}")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give --dataset_dir a folder:{tree}")
    return folder


def folder_of(parent: Path, *names: str, tree: str) -> Path:
    """The one of ``names`` that is a folder in ``parent``.

    Raises:
        InputError: if none is, or more than one; with the expected ``tree``.
    """
    found = [parent / name for name in names if (parent / name).is_dir()]
    if not found:
        raise InputError(f"{parent} has no folder {' or '.join(f'{name}/' for name in names)}; expected is{tree}")
    if len(found) > 1:
        both = " and ".join(f"{path.name}/" for path in found)
        raise InputError(f"{parent} has both {both}; keep the one to use, and rename the other")
    return found[0]


def is_visible(path: Path) -> bool:
    """Whether a user put the file there: Thumbs.db is Windows' own, .DS_Store and the ._ twins are macOS's."""
    return not path.name.startswith(".") and path.name.lower() != "thumbs.db"


def is_image(path: Path) -> bool:
    """Whether it is a file whose name ends as that of a supported image."""
    return is_visible(path) and has_image_suffix(path) and os.path.isfile(path)


def image_files(folder: Path) -> list[Path]:
    """Image files of a folder, sorted by name; others are left out, with a line in the log.

    Raises:
        InputError: if there is none.
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
    """Refuse two files whose names differ in their suffix only.

    Raises:
        InputError: naming both.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        twin = seen.setdefault(_stem(path), path)
        if twin is not path:
            raise InputError(f"{twin} and {path.name} differ in their suffix only; rename one of them or remove it")


def pairs(image_folder: Path, mask_folder: Path, **facts: str) -> list[Item]:
    """Pair the files of two folders by name.

    A mask has the stem of its image, or that and ``_mask`` or ``_segmentation`` (in any case); suffixes may differ and
    mix.

    Args:
        image_folder: holds the images.
        mask_folder: holds the masks.
        facts: what else to note of every image, such as its ``part``.

    Returns:
        ``{"image": path, "label": path, **facts}``, sorted by the name of the image file.

    Raises:
        InputError: if a folder holds no image, or a name is ambiguous or has no partner.
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
        found = by_stem.get(_stem(image), [])
        if len(found) > 1:
            raise InputError(f"{image} fits {' and '.join(mask.name for mask in found)}; keep one mask, or rename")
        if not found:
            without_mask.append(image)
        elif (other := owner.setdefault(found[0], image)) is not image:
            raise InputError(f"{found[0]} fits {other.name} and {image.name}; give each image a mask of its own")
        else:
            items.append({"image": str(image), "label": str(found[0]), **facts})
    _refuse_single(without_mask, "have no mask", mask_folder)
    _refuse_single([mask for mask in masks if mask not in owner], "have no image", image_folder)
    return items


def first_names(paths: Sequence[str | PathLike[str]]) -> str:
    """The names of a few files, and dots where there are more."""
    return ", ".join(Path(path).name for path in paths[:_SHOWN]) + (", ..." if len(paths) > _SHOWN else "")


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", stem(path))  # macOS decomposes accents in names that it writes


def _refuse_single(single: Sequence[Path], problem: str, searched: Path) -> None:
    if single:
        raise InputError(
            f"{len(single)} file(s) in {single[0].parent} {problem} of the same name in {searched}: "
            f"{first_names(single)}; add the missing files, or remove these"
        )
