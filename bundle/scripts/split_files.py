# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Splits as files: written with every training, read back by evaluations, and by trainings that are to use the same."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np

from .duplicates import Pair, clusters
from .errors import InputError
from .folds import Fold, Split, relative_names
from .grouping import group_names, strata
from .splits import divide, set_aside
from .survey import Facts
from .writing import write_json

__all__ = ["choose_fold", "read_split", "split_images", "write_split"]

Item = dict[str, Any]

_VERSION = 1

_logger = logging.getLogger("qtseg")


def split_images(
    datalist: Sequence[Item],
    *,
    root: str | os.PathLike[str],
    facts: Sequence[Facts],
    duplicates: Sequence[Pair],
    split: str | None,
    group: str | None,
    stratify: bool,
    num_folds: int,
    remainder: str,
    protocol: str,
    validation_share: float,
    seed: int,
) -> Split:
    """Divide a dataset as the knobs say, or as a file does.

    Args:
        datalist: all images.
        root: the dataset's folder.
        facts: of the images, from :py:func:`.survey.survey_images`.
        duplicates: near-duplicates among the images; they stay together like a group.
        split: as for :py:func:`.splits.divide`, or the path of a split file, whose folds are taken as they are.
        group: the rule for groups, as for :py:func:`.grouping.group_names`.
        stratify: spread kinds of images evenly over grouped folds, as :py:func:`.grouping.strata` tells them apart.
        num_folds, remainder, protocol, validation_share, seed: as for :py:func:`.splits.divide`.

    Returns:
        The split.

    Raises:
        InputError: if a value is out of range, or the file does not fit the images.
    """
    kinds = strata(datalist, facts) if stratify else None
    if split is not None and str(split).endswith(".json"):
        read = read_split(split, datalist, root)
        outer = [(fold.train, fold.validate, fold.test) for fold in read.folds]
        numbers = np.unique(read.groups, return_inverse=True)[1]
        folds = set_aside(
            outer, groups=numbers, strata=kinds, protocol=protocol, validation_share=validation_share, seed=seed
        )
        return Split(folds, read.groups, read.images)
    names = group_names(datalist, group)
    by_name: dict[str, int] = {}
    same_group = [(by_name.setdefault(name, i), i, 1.0) for i, name in enumerate(names)]
    together = clusters(len(datalist), [*duplicates, *same_group])
    folds = divide(
        datalist,
        split=split,
        groups=together,
        strata=kinds,
        num_folds=num_folds,
        remainder=remainder,
        protocol=protocol,
        validation_share=validation_share,
        seed=seed,
    )
    images = relative_names(datalist, root)
    first: dict[int, str] = {}
    named = images if group is None else names
    return Split(folds, [first.setdefault(int(each), named[i]) for i, each in enumerate(together)], images)


def choose_fold(split: Split, fold: int, datalist: Sequence[Item]) -> dict[str, list[Item]]:
    """The images of one fold.

    Args:
        split: of the dataset.
        fold: its number, from 0.
        datalist: all images.

    Returns:
        ``{"train": [...], "validate": [...], "test": [...]}``, items of ``"image"``, ``"label"`` and ``"group"``.

    Raises:
        InputError: if there is no such fold.
    """
    if not 0 <= fold < len(split.folds):
        last = len(split.folds) - 1
        only = "use 0, or --split grouped to cut the images anew" if last == 0 else f"use 0 to {last}"
        raise InputError(f"fold is {fold}, but the split has {len(split.folds)} fold(s); {only}")

    def item(position: int) -> Item:
        found = datalist[position]
        return {"image": found["image"], "label": found["label"], "group": split.groups[position]}

    return {part: [item(i) for i in positions] for part, positions in asdict(split.folds[fold]).items()}


def write_split(split: Split, path: str | os.PathLike[str]) -> str:
    """Write a split as JSON. Only the first process of a job writes.

    Args:
        split: to be written.
        path: the file.

    Returns:
        The path.
    """
    if idist.get_rank() == 0:
        groups = {image: group for image, group in zip(split.images, split.groups) if image != group}
        content = {"version": _VERSION, "digest": split.digest, "groups": groups, "folds": split.by_name()}
        write_json(path, content)
    return str(path)


def read_split(path: str | os.PathLike[str], datalist: Sequence[Item], root: str | os.PathLike[str]) -> Split:
    """Read a split that a training wrote, or a list of folds such as nnU-Net's ``splits_final.json``.

    Args:
        path: the file: ``{"folds": [...]}``, or the list of folds alone. A fold has ``train`` and ``test``, and maybe
            ``validate`` or ``val``, to choose the epoch on; a ``val`` without ``test`` is what is scored. Images are
            named by their path in the dataset's folder, or by their file name without suffix.
        datalist: all images.
        root: the dataset's folder.

    Returns:
        The split; ``validate`` of a fold is empty where the file has none, or the images of ``test``.

    Raises:
        InputError: if the file cannot be read, names an image that is not there, or has one in two parts of a fold.
    """
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"split names {path}, which cannot be read ({error}); give a JSON file of folds") from error
    entries = content.get("folds") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f'{path} holds no folds; expected is [{{"train": [...], "test": [...]}}, ...]')
    images = relative_names(datalist, root)
    position = _positions(images)
    folds = [_fold(path, number, entry, position, images) for number, entry in enumerate(entries)]
    left_out = len(images) - len({i for fold in folds for part in asdict(fold).values() for i in part})
    if left_out and idist.get_rank() == 0:
        _logger.warning(f"split:    {left_out} of {len(images)} images are in no fold of {path}, and left out")
    groups = content.get("groups", {}) if isinstance(content, dict) else {}
    return Split(folds, [groups.get(image, image) for image in images], images)


def _fold(
    path: str | os.PathLike[str], number: int, entry: dict[str, Any], position: dict[str, int], images: Sequence[str]
) -> Fold:
    parts: dict[str, list[int]] = {}
    named = dict(entry) if "test" in entry else {**entry, "test": entry.get("val", []), "val": []}
    for part, names in {"train": ["train"], "validate": ["validate", "val"], "test": ["test"]}.items():
        listed: list[str] = next((named[name] for name in names if name in named), [])
        unknown = [name for name in listed if name not in position]
        if unknown:
            raise InputError(f"{path} names {unknown[0]} in fold {number}, which is no image of the dataset; remove it")
        parts[part] = [position[name] for name in listed]
    if not parts["test"]:
        raise InputError(f"{path} has nothing to score in fold {number}; name images in its test (or val)")
    chosen_on_test = set(parts["validate"]) in (set(), set(parts["test"]))
    for part in ("train",) if chosen_on_test else ("train", "validate"):
        both = set(parts[part]) & set(parts["test"] if part == "train" else parts["train"] + parts["test"])
        if both:
            raise InputError(f"{path} has {images[min(both)]} in two parts of fold {number}; keep it in one")
    return Fold(parts["train"], [] if chosen_on_test else parts["validate"], parts["test"])


def _positions(images: Sequence[str]) -> dict[str, int]:
    """By every name that a file may give an image: its path, or its stem where no other has it."""
    stems: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        for stem in {Path(image).stem, Path(image).stem.removesuffix("_0000")}:
            stems.setdefault(stem, []).append(i)
    single = {stem: found[0] for stem, found in stems.items() if len(found) == 1}
    return {**single, **{image: i for i, image in enumerate(images)}}
