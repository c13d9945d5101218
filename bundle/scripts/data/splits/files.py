# SPDX-License-Identifier: Apache-2.0

"""Write and read splits as files.

Every training writes one. Evaluations read it, and so do trainings that are to use the same split.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from ...common.errors import InputError
from ...common.files import load_json, user_path, write_json
from ...image_io.formats.registry import stem
from ..layouts.files import Item
from .split import Fold, Split, relative_names

__all__ = ["read_split", "write_split"]


_VERSION = 1  # version of the file's form

_logger = logging.getLogger("qtseg")


def write_split(split: Split, path: str | os.PathLike[str]) -> str:
    """Write a split as JSON. Only the first process of a job writes.

    Args:
        split: the split.
        path: path of the file.

    Returns:
        The path of the file.
    """
    if idist.get_rank() == 0:
        groups = {image: group for image, group in zip(split.images, split.groups) if image != group}
        content = {"version": _VERSION, "digest": split.digest, "groups": groups, "folds": split.by_name()}
        write_json(path, content)
    return str(path)


def read_split(path: str | os.PathLike[str], datalist: Sequence[Item], root: str | os.PathLike[str]) -> Split:
    """Read a split that a training wrote, or a list of folds such as nnU-Net's ``splits_final.json``.

    Args:
        path: path of the file. It holds ``{"folds": [...]}``, or the list of folds alone. A fold has ``train`` and
            ``test``, and may have ``validate`` or ``val``, to choose the epoch on. In a fold without ``test``, the
            images of ``val`` are scored. An image is named by its path in the dataset's folder, or by its file name
            with or without suffix.
        datalist: items of all images.
        root: path of the dataset's folder.

    Returns:
        The split. ``validate`` of a fold is empty if the file has no such images, or if they are the images of
        ``test``.

    Raises:
        InputError: if the file cannot be read, if it names an image that the dataset does not have, or if an image is
            in two parts of a fold.
    """
    try:
        content = load_json(user_path(path))
    except (OSError, ValueError) as error:
        raise InputError(f"split names {path}, which cannot be read ({error}); give a JSON file of folds") from error
    entries, groups = (content.get("folds"), content.get("groups", {})) if isinstance(content, dict) else (content, {})
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f'{path} holds no folds; expected is [{{"train": [...], "test": [...]}}, ...]')
    if not isinstance(groups, dict) or not all(isinstance(name, str) for name in groups.values()):
        raise InputError(f'{path} has groups that are no {{"image": "group", ...}}; mend them, or leave them out')
    images = relative_names(datalist, root)
    position = _positions(images)
    folds = [_fold(f"{path}, fold {number},", entry, position, images) for number, entry in enumerate(entries)]
    left_out = len(images) - len({i for fold in folds for part in asdict(fold).values() for i in part})
    if left_out and idist.get_rank() == 0:
        _logger.warning(f"split:    {left_out} of {len(images)} images are in no fold of {path}, and left out")
    unknown = [name for name in groups if name not in position]
    if unknown:
        raise InputError(f"{path} gives a group to {unknown[0]}, which is no image of the dataset; remove it")
    by_position = {position[name]: group for name, group in groups.items()}
    return Split(folds, [by_position.get(i, image) for i, image in enumerate(images)], images)


def _fold(where: str, entry: dict[str, Any], position: dict[str, int], images: Sequence[str]) -> Fold:
    """Read one fold. ``where`` names the file and the fold for messages."""
    named = dict(entry) if "test" in entry else {**entry, "test": entry.get("val", []), "val": []}
    named["validate"] = named.get("validate", named.get("val", []))
    train, validate, test = (_part(where, part, named.get(part), position) for part in ("train", "validate", "test"))
    if not train:
        raise InputError(f"{where} has nothing to train on; name images in its train")
    if not test and "test" not in entry:
        raise InputError(f"{where} has nothing to score; name images in its val or test, or set its test to []")
    chosen_on_test = set(validate) in (set(), set(test))
    both = set(train) & set(test)
    if not chosen_on_test:
        both |= set(validate) & set(train + test)
    if both:
        raise InputError(f"{where} has {images[min(both)]} in two parts; keep it in one")
    return Fold(train, [] if chosen_on_test else validate, test)


def _part(where: str, part: str, listed: Any, position: dict[str, int]) -> list[int]:
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise InputError(f"{where} has a {part} that is no list of image names; expected is [\"a\", \"b\", ...]")
    by_position: dict[int, str] = {}
    for name in listed:
        if name not in position:
            raise InputError(f"{where} names {name}, which is no image of the dataset; remove it, or put it there")
        if position[name] in by_position:
            raise InputError(f"{where} names {name} twice in its {part}; name it once")
        by_position[position[name]] = name
    return list(by_position)


def _positions(images: Sequence[str]) -> dict[str, int]:
    """Return the position of every image by all names that a split file may use for it.

    These are its path, and its file name with or without suffix if no other image has the same.
    """
    short: dict[str, set[int]] = {}
    for i, image in enumerate(images):
        for name in (Path(image).name, stem(image), stem(image).removesuffix("_0000")):
            short.setdefault(name, set()).add(i)
    single = {name: min(positions) for name, positions in short.items() if len(positions) == 1}
    return {**single, **{image: i for i, image in enumerate(images)}}
