# SPDX-License-Identifier: Apache-2.0

"""Divide a dataset into images to train on, images to choose the epoch on, and images to score, without leaks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from ...common.errors import InputError
from ..layouts.files import Item
from .protocols import TRAINING_PROTOCOLS
from .split import Fold

__all__ = ["Outer", "divide", "set_aside"]


#: positions of the images to train on, of those to choose the epoch on, and of those to score
Outer = tuple[list[int], list[int], list[int]]

_SPLITS = ("grouped", "slices", "official", "all")

_logger = logging.getLogger("qtseg")


def divide(
    datalist: Sequence[Item],
    *,
    split: str | None,
    groups: Sequence[Any] | NDArray[np.intp],
    strata: Sequence[Any] | None,
    num_folds: int,
    remainder: str,
    protocol: str,
    validation_share: float,
    seed: int,
) -> list[Fold]:
    """Divide the images into folds.

    Args:
        datalist: items of all images, with ``"part"`` and ``"stratum"`` if the layout has them.
        split: "grouped": random folds of about equal size; the images of a group stay together. "slices": contiguous
            slices in the order of ``datalist``, within each stratum, as in the paper's benchmarks. "official": one fold
            with the parts of the dataset. "all": one fold that trains on all images and scores none. None: "official"
            if the dataset has parts, the folds that it names if it names some, else "grouped".
        groups: group of every image. The images of a group stay together, also when images are set aside to choose the
            epoch on.
        strata: kind of every image; the kinds are spread evenly over grouped folds. None: do not look at kinds.
        num_folds: number of folds for "grouped" and "slices", at least 2.
        remainder: what to do in "slices" with the images that are left over if the number of images is not a multiple
            of ``num_folds``. "spread": each of the first slices gets one more image. "train": these images are in the
            training part of every fold, and no fold scores them.
        protocol: "held-out": a part of the training images of a fold is set aside to choose the epoch on. "paper": the
            epoch is chosen on the scored images.
        validation_share: share of the training images to set aside, in (0, 0.5].
        seed: seed of the random folds.

    Returns:
        The folds.

    Raises:
        InputError: if an argument is out of range, or if there are too few images or groups.
    """
    has_parts = any("part" in item for item in datalist)
    has_folds = any("fold" in item for item in datalist)
    if split is None and has_parts and has_folds:
        raise InputError(
            "the dataset gives folds to its training images, and also has test or validation images with masks; set "
            "--split official to score the latter, or --split grouped for new folds, or remove one of the two"
        )
    named = split is None and has_folds
    split = split or ("official" if has_parts else "grouped")
    _check(datalist, None if named else split, has_parts, num_folds, remainder, protocol, validation_share)
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    if named:
        outer = _named(datalist)
    elif split == "official":
        outer = [_official(datalist)]
    elif split == "all":
        outer = [(list(range(len(datalist))), [], [])]
    elif split == "slices":
        outer = _slices(datalist, num_folds, remainder)
    else:
        outer = _grouped(np.arange(len(datalist)), numbers, strata, num_folds, seed)
    return set_aside(
        outer, groups=numbers, strata=strata, protocol=protocol, validation_share=validation_share, seed=seed
    )


def set_aside(
    outer: Sequence[Outer],
    *,
    groups: NDArray[np.intp],
    strata: Sequence[Any] | None,
    protocol: str,
    validation_share: float,
    seed: int,
) -> list[Fold]:
    """Give every fold images to choose the epoch on.

    Under the protocol "paper" these are the scored images. Under "held-out" a fold that already has such images keeps
    them; for any other fold, a part of its training images is set aside.

    Args:
        outer: for every fold, the positions of the images to train on, of those to choose the epoch on (may be empty),
            and of those to score.
        groups: (N,) number of the group of every image.
        strata, protocol, validation_share, seed: as for ``divide``.

    Returns:
        The folds.

    Raises:
        InputError: if a fold has only one group to train on, so that no group can be set aside; or if a fold scores no
            image under the protocol "paper".
    """
    folds = []
    for number, (train, validate, test) in enumerate(outer):
        if protocol == "paper":
            if not test:
                raise InputError(
                    f"protocol is 'paper', which chooses the epoch on the scored images, but fold {number} scores "
                    "none; set --protocol held-out"
                )
            train, validate = sorted([*train, *validate]), test
        elif not validate:
            count = max(2, round(1 / validation_share))
            train_groups = len(np.unique(groups[train]))
            if train_groups < 2:
                raise InputError(
                    f"fold {number} has {train_groups} group to train on, so none can be set aside to choose the epoch "
                    "on; add images, use fewer folds, or set --protocol paper"
                )
            target = validation_share * len(train)
            inner = _grouped(np.array(train), groups, strata, min(count, train_groups), seed + 1 + number)
            # Groups differ in size, and so do the folds: take the fold whose size is nearest to the target.
            train, _, validate = min(inner, key=lambda parts: abs(len(parts[2]) - target))
        folds.append(Fold(train, validate, test))
    return folds


def _check(
    datalist: Sequence[Item],
    split: str | None,
    has_parts: bool,
    num_folds: int,
    remainder: str,
    protocol: str,
    validation_share: float,
) -> None:
    if split is not None and split not in _SPLITS:
        raise InputError(f"split is {split!r}; use one of {', '.join(map(repr, _SPLITS))}, or the path of a split file")
    if split == "official" and not has_parts:
        raise InputError("split is 'official', but the dataset has no official parts; use 'grouped'")
    if protocol not in TRAINING_PROTOCOLS:
        raise InputError(f"protocol is {protocol!r}; use one of {', '.join(map(repr, TRAINING_PROTOCOLS))}")
    if num_folds < 2:
        raise InputError(f"num_folds is {num_folds}; use 2 or more, so that there is a part to train on")
    if split in ("grouped", "slices") and len(datalist) < num_folds:
        raise InputError(f"num_folds is {num_folds} for {len(datalist)} image(s); add images, or use fewer folds")
    if remainder not in ("spread", "train"):
        raise InputError(f'remainder is {remainder!r}; use "spread" or "train"')
    if not isinstance(validation_share, (int, float)) or not 0 < validation_share <= 0.5:
        raise InputError(f"validation_share is {validation_share!r}; use more than 0 and at most 0.5")


def _official(datalist: Sequence[Item]) -> Outer:
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for position, item in enumerate(datalist):
        parts[item["part"]].append(position)
    if not parts["test"]:
        _logger.info("split:    val/ is scored, as there is no test/; the epoch is chosen on a part of train/")
        return parts["train"], [], parts["val"]
    return parts["train"], parts["val"], parts["test"]


def _named(datalist: Sequence[Item]) -> list[Outer]:
    """Take the folds that the dataset gives its images. Each fold scores its own images, and trains on all others."""
    numbers = sorted({item["fold"] for item in datalist})
    if len(numbers) < 2 or numbers != list(range(len(numbers))):
        raise InputError(
            f"the dataset gives its images the folds {', '.join(map(str, numbers))}; number them from 0, at least 2 of "
            "them, or set --split grouped for new folds"
        )
    _logger.info(f"split:    the {len(numbers)} folds that the dataset names (--split grouped draws new ones)")
    tests = [[place for place, item in enumerate(datalist) if item["fold"] == number] for number in numbers]
    return [(_others(len(datalist), test), [], test) for test in tests]


def _slices(datalist: Sequence[Item], num_folds: int, remainder: str) -> list[Outer]:
    strata: dict[str, list[int]] = {}
    for position, item in enumerate(datalist):
        strata.setdefault(item.get("stratum", ""), []).append(position)
    tests: list[list[int]] = [[] for _ in range(num_folds)]
    for members in strata.values():
        size, left_over = divmod(len(members), num_folds)
        extra = left_over if remainder == "spread" else 0
        for fold, test in enumerate(tests):
            start = fold * size + min(fold, extra)
            test += members[start : start + size + (fold < extra)]
    return [(_others(len(datalist), test), [], test) for test in tests]


def _others(count: int, taken: Sequence[int]) -> list[int]:
    """Return all positions below ``count`` that are not taken."""
    left_out = set(taken)
    return [position for position in range(count) if position not in left_out]


def _grouped(
    positions: NDArray[np.intp], groups: NDArray[np.intp], strata: Sequence[Any] | None, num_folds: int, seed: int
) -> list[Outer]:
    num_groups = len(np.unique(groups[positions]))
    if num_groups < num_folds:
        raise InputError(
            f"num_folds is {num_folds}, but the {len(positions)} images are {num_groups} group(s) that stay together "
            "(near-duplicates do, and images of one group of the knob group); add images, use fewer folds, or, if the "
            "images are no near-duplicates but only alike, set --group_duplicates false"
        )
    if strata is not None:
        stratified = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
        parts = stratified.split(positions, _common([strata[i] for i in positions], num_folds), groups[positions])
    else:
        # GroupKFold distributes the largest groups first, and groups of equal size in the order of their numbers. So
        # random numbers for the groups make the folds random.
        shuffled = np.random.default_rng(seed).permutation(groups.max() + 1)
        parts = GroupKFold(num_folds).split(positions, groups=shuffled[groups[positions]])
    return [(positions[train].tolist(), [], positions[test].tolist()) for train, test in parts]


def _common(strata: Sequence[Any], num_folds: int) -> list[Any]:
    """Replace rare strata by the most common one, as a stratum with fewer images than folds cannot be in all folds."""
    counts = Counter(strata)
    ((most_common, _),) = counts.most_common(1)
    return [stratum if counts[stratum] >= num_folds else most_common for stratum in strata]
