# SPDX-License-Identifier: Apache-2.0

"""Check the folds of a training: whether they suffice to learn, to choose the epoch, and to score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ignite.distributed as idist

from ..common.counts import counted
from .problems import Problem
from .splits.choose import check_fold
from .splits.split import Split
from .survey import Facts

__all__ = ["check_folds"]

_FEW_IMAGES = 3  # a score, or a choice, by so few images is left to chance
_FEW_STEPS = 100  # a training of fewer steps learns little

_PURPOSES = {"train": "train on", "validate": "choose the epoch on", "test": "score"}


def check_folds(
    split: Split, folds: Sequence[int], facts: Sequence[Facts], knobs: Mapping[str, Any]
) -> list[Problem]:
    """List what makes folds too small, or parts of them unlike each other.

    Args:
        split: the split.
        folds: numbers of the folds to check.
        facts: facts of all images.
        knobs: values of the knobs of the training, by name.

    Returns:
        Problems as those of :py:func:`.problems.find_problems`, none of them fatal: a class that is missing in a part
        of a fold, but not in all; few images to score or to choose the epoch on; and few steps in all.

    Raises:
        InputError: if the split has no such fold.
    """
    for fold in folds:
        check_fold(split, fold)
    return [
        {"kind": kind, "fatal": False, "text": f"fold {fold}: {text}", "files": files}
        for fold in folds
        for kind, text, files in [
            *_missing_classes(split, fold, facts, knobs),
            *_few_images(split, fold),
            *_few_steps(split, fold, knobs),
        ]
    ]


def _missing_classes(
    split: Split, fold: int, facts: Sequence[Facts], knobs: Mapping[str, Any]
) -> Iterator[tuple[str, str, list[str]]]:
    parts = _parts(split, fold)
    for label in range(1, len(max((image.pixels for image in facts), key=len))):
        have = {
            part: [i for i in positions if label < len(facts[i].pixels) and facts[i].pixels[label]]
            for part, positions in parts.items()
        }
        count = sum(label < len(image.pixels) and image.pixels[label] > 0 for image in facts)
        lacking = [_PURPOSES[part] for part, positions in have.items() if not positions]
        if not count or not lacking:
            continue
        if have["train"]:
            effect = "so the scores of this class say nothing there"
        else:
            effect = "so it cannot be learned"
        examples = [facts[i].image for positions in have.values() for i in positions]
        text = f"class {label} is in {counted(count, 'image')} of {len(facts)}, but in none to {' or '.join(lacking)}"
        yield "unevenly spread class", f"{text}, {effect}; {_spreading(count, len(parts), split, knobs)}", examples


def _spreading(count: int, num_parts: int, split: Split, knobs: Mapping[str, Any]) -> str:
    """Return the cure for a class that a part lacks."""
    folds = knobs["num_folds"] if len(split.folds) == 1 else len(split.folds)
    if count < folds or knobs["stratify"]:
        return "add images with the class, or leave the class out"
    grouped = "" if len(split.folds) > 1 and knobs["split"] in (None, "grouped") else "--split grouped "
    return f"{grouped}--stratify true spreads it"


def _few_images(split: Split, fold: int) -> Iterator[tuple[str, str, list[str]]]:
    parts = _parts(split, fold)
    purposes: dict[tuple[int, ...], list[str]] = {}  # one set of images may have both purposes
    for part in ("test", "validate"):
        if part in parts and len(parts[part]) <= _FEW_IMAGES:
            purposes.setdefault(tuple(parts[part]), []).append(part)
    for positions, names in purposes.items():
        cures = {
            "test": "cross-validate, so that all images are scored",
            "validate": "raise --validation_share",
        }
        text = f"{counted(len(positions), 'image')} to {' and to '.join(_PURPOSES[name] for name in names)}, which "
        text += f"leaves that to chance; add images, or {cures[names[0]]}"
        yield "few images", text, [split.images[i] for i in positions]


def _few_steps(split: Split, fold: int, knobs: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    batch_size = knobs["batch_size"]  # images, or windows
    windows = min(knobs["crops_per_image"], batch_size) if knobs["geometry"] == "native" else 1
    images_per_step = batch_size // windows * idist.get_world_size()
    steps = knobs["max_epochs"] * max(1, len(split.folds[fold].train) // images_per_step)
    if steps < _FEW_STEPS:
        smaller = ", or lower --batch_size" if batch_size > 1 else ""
        text = f"the training has {counted(steps, 'step')} in all, which is too few to learn much"
        yield "few steps", f"{text}; raise --max_epochs{smaller}", []


def _parts(split: Split, fold: int) -> dict[str, list[int]]:
    """Return the positions of the images in the parts that a fold has; one that scores none has no part for it."""
    return {part: positions for part, positions in asdict(split.folds[fold]).items() if positions}
