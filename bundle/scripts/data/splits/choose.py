# SPDX-License-Identifier: Apache-2.0

"""Divide a dataset as the knobs say, and list the images of one fold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict

from ...common.distributed import check_processes
from ...common.errors import InputError
from ..duplicates import Pair
from ..layouts.files import Item
from ..survey import Facts
from .division import divide, set_aside
from .files import read_split
from .grouping import belong_together, group_names, strata
from .split import Split, relative_names

__all__ = ["check_fold", "choose_fold", "split_images"]


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
    """Divide a dataset as the knobs or a split file say.

    Args:
        datalist: items of all images.
        root: path of the dataset's folder.
        facts: facts of the images, from :py:func:`..survey.survey_images`.
        duplicates: near-duplicates among the images; they stay together like the images of a group.
        split: a value for :py:func:`.division.divide`, or the path of a split file, whose folds are used as they are.
        group: rule for the groups, as for :py:func:`.grouping.group_names`. None: use the groups of the split file; if
            there is no split file, every image is a group of its own.
        stratify: whether to spread the kinds of images evenly over grouped folds. :py:func:`.grouping.strata` finds the
            kinds.
        num_folds, remainder, protocol, validation_share, seed: as for :py:func:`.division.divide`.

    Returns:
        The split.

    Raises:
        InputError: if a value is out of range, or if the split file does not fit the images.
    """
    images = relative_names(datalist, root)
    file = split if split is not None and str(split).endswith(".json") else None
    split_of_file = None if file is None else read_split(file, datalist, root)
    groups = split_of_file.groups if split_of_file else images
    if group is not None:
        groups = group_names(datalist, group)
    together = belong_together(groups, duplicates)
    kinds = strata(datalist, facts) if stratify else None
    if split_of_file:
        folds = set_aside(
            [(fold.train, fold.validate, fold.test) for fold in split_of_file.folds],
            groups=together,
            strata=kinds,
            protocol=protocol,
            validation_share=validation_share,
            seed=seed,
        )
    else:
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
    first: dict[int, str] = {}
    return Split(folds, [first.setdefault(int(number), name) for number, name in zip(together, groups)], images)


def check_fold(split: Split, fold: int) -> None:
    """Check that a split has a fold.

    Args:
        split: split of the dataset.
        fold: number of the fold, counted from 0.

    Raises:
        InputError: if there is no such fold.
    """
    if not 0 <= fold < len(split.folds):
        last = len(split.folds) - 1
        only = "use 0, or --split grouped to cut the images anew" if last == 0 else f"use 0 to {last}"
        raise InputError(f"fold is {fold}, but the split has {len(split.folds)} fold(s); {only}")


def choose_fold(split: Split, fold: int, datalist: Sequence[Item]) -> dict[str, list[Item]]:
    """List the images of one fold.

    Args:
        split: split of the dataset.
        fold: number of the fold, counted from 0.
        datalist: items of all images.

    Returns:
        ``{"train": [...], "validate": [...], "test": [...]}``, lists of items with ``"image"``, ``"label"`` and
        ``"group"``.

    Raises:
        InputError: if there is no such fold, or if it has fewer images to choose the epoch on than the job has
            processes.
    """
    check_fold(split, fold)

    def item(position: int) -> Item:
        listed = datalist[position]
        return {"image": listed["image"], "label": listed["label"], "group": split.groups[position]}

    check_processes(split.folds[fold].validate, "to choose the epoch on")
    return {part: [item(i) for i in positions] for part, positions in asdict(split.folds[fold]).items()}
