# SPDX-License-Identifier: Apache-2.0

"""Choose the images that a model is scored on, depending on what part they had in its training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ignite.distributed as idist

from ..checkpoints.model_record import seen_in_training
from ..common.distributed import check_processes
from ..common.errors import InputError
from ..common.files import absolute
from ..data.layouts.files import Item
from ..data.prepared import Dataset
from ..data.splits.grouping import group_names
from ..data.splits.protocols import UNKNOWN_START
from ..data.splits.split import relative_names
from ..data.survey import Facts

__all__ = ["ScoredData", "images_to_score", "warn_of_training_images"]

_logger = logging.getLogger("qtseg")


@dataclass(frozen=True, kw_only=True)
class ScoredData(Dataset):
    """A dataset, with the choice of its images that a model is scored on.

    Attributes:
        settings: settings of the model, from :py:func:`..checkpoints.model_settings.read_settings`.
        dataset_dir, part, fold, group: like the arguments of :py:func:`images_to_score`.
    """

    settings: Mapping[str, Any]
    dataset_dir: str | None
    part: str
    fold: int
    group: str | None

    @cached_property
    def _choice(self) -> dict[str, Any]:
        return images_to_score(
            self.settings,
            self.datalist,
            facts=self.survey,
            root=self.folder or "",
            dataset_dir=self.dataset_dir,
            part=self.part,
            fold=self.fold,
            group=self.group,
        )

    @property
    def facts(self) -> list[Facts]:
        """The facts that the survey collected about the scored images, in the order of ``test``."""
        return self._choice["facts"]

    @property
    def test(self) -> list[Item]:
        """The scored images, as items with ``"image"``, ``"label"``, ``"group"`` and ``"seen"``."""
        return self._choice["test"]

    @property
    def seen(self) -> int | None:
        """The number of scored images that were trained on or used to choose the epoch; None if it is not on record."""
        return self._choice["seen"]

    @property
    def protocol(self) -> str:
        """The name in :py:data:`..data.splits.protocols.PROTOCOLS` of what the scores mean."""
        return self._choice["protocol"]

    @property
    def leaks(self) -> list[dict[str, Any]]:
        """The leaks of the fold of the training, if the images that this fold held out are scored; else empty."""
        return self.settings["leaks"] if self.protocol == self.settings["protocol"] else []


def images_to_score(
    settings: Mapping[str, Any],
    datalist: Sequence[Mapping[str, Any]],
    *,
    facts: Sequence[Facts],
    root: str | os.PathLike,
    dataset_dir: str | os.PathLike | None,
    part: str,
    fold: int,
    group: str | None,
) -> dict[str, Any]:
    """Choose the images that a model is scored on.

    For the part "test", these are the images that its training held out, if the dataset has all of them; otherwise, all
    images of the dataset. Images are recognized by their pixels, so a dataset is recognized after it was moved.

    Args:
        settings: settings of the model, from :py:func:`..checkpoints.model_settings.read_settings`.
        datalist: all images of the dataset.
        facts: the facts about these images, from :py:func:`..data.survey.survey_images`.
        root: folder of the dataset.
        dataset_dir: folder of the dataset as the user named it; None for the synthetic images.
        part: "test" for the images that were held out, "all" for every image.
        fold: number of the fold; it must be the fold of the training, if that is on record.
        group: the rule for groups, like that of :py:func:`..data.splits.grouping.group_names`. None for the groups that
            the training used; then every image that was not in the training is a group of its own.

    Returns:
        ``"test"``: items with ``"image"``, ``"label"``, ``"group"`` and ``"seen"``. The latter is "yes" for an image
        that was trained on or used to choose the epoch, else "no", or "unknown" if it is not on record.
        ``"facts"``: the facts about the images in ``"test"``, in the same order.
        ``"protocol"``: the name in :py:data:`..data.splits.protocols.PROTOCOLS` of what the scores mean.
        ``"seen"``: the number of images in ``"test"`` that were trained on or used to choose the epoch; None if it is
        not on record.

    Raises:
        InputError: if ``part`` is neither of the two; if the fold is not that of the training; if an image that was
            held out is missing or has other pixels than before; if the training held out none of its images; if no
            dataset is named, and the model was not trained on the synthetic images; or if there are fewer images than
            processes.
    """
    if part not in ("test", "all"):
        raise InputError(f'part is {part!r}; use "test" for the images that were held out, or "all"')
    training_images = settings["images"]
    if training_images and fold != settings["fold"]:
        raise InputError(
            f"fold is {fold}, but the model was trained on fold {settings['fold']} and is scored on the images that "
            "this fold held out; leave --fold out, or set --ckpt_dir to the model of that fold"
        )
    names = relative_names(datalist, root)
    by_digest = {image["digest"]: image for image in training_images.values()}
    records = []  # what the training recorded about every image; None for images that it did not have
    for name, entry in zip(names, facts):
        of_name = training_images.get(name)
        same = of_name is not None and of_name["digest"] == entry.digest
        records.append(of_name if same else by_digest.get(entry.digest))
    if dataset_dir is None and not any(records):
        raise InputError(
            f"{root} holds no image that the model was trained on; name those to score by --dataset_dir, or the folder "
            "of the model that was trained on these by --ckpt_dir"
        )
    held_out = {name: image["digest"] for name, image in training_images.items() if image["part"] == "test"}
    missing = set(held_out.values()) - {entry.digest for entry in facts}
    if missing and part == "test" and settings["dataset_dir"] == _absolute(dataset_dir):
        name = next(name for name, digest in held_out.items() if digest in missing)
        change = "has other pixels than" if name in names else f"is not in {root}, but was there"
        raise InputError(
            f"{name} {change} when it was held out in training ({len(missing)} such image(s)); put it back, or set "
            "--part all"
        )
    trained_on_all = {image["digest"] for image in training_images.values()} <= {entry.digest for entry in facts}
    if part == "test" and training_images and not held_out and trained_on_all:
        raise InputError(
            f"the model was trained on the images of {root} and none was held out to score; name others by "
            "--dataset_dir, or set --part all, for scores that are too good"
        )
    as_trained = part == "test" and bool(held_out) and not missing
    positions = [
        i for i, record in enumerate(records) if not as_trained or (record is not None and record["part"] == "test")
    ]
    groups = names if group is None else group_names(datalist, group)
    trained_on, on_record = seen_in_training(settings), bool(training_images) and settings["start_is_known"]
    items = []
    for i in positions:
        record = records[i]
        group_name = record["group"] if group is None and record is not None else groups[i]
        was_seen = "yes" if facts[i].digest in trained_on else "no" if on_record else "unknown"
        items.append(
            {"image": datalist[i]["image"], "label": datalist[i]["label"], "group": group_name, "seen": was_seen}
        )
    check_processes(items, "to score")
    seen = sum(item["seen"] == "yes" for item in items)
    return {
        "test": items,
        "facts": [facts[i] for i in positions],
        "protocol": (
            settings["protocol"]
            if as_trained
            else _protocol([records[i] for i in positions], training_images, seen)
        ),
        "seen": seen if training_images else None,
    }


def warn_of_training_images(seen: int | None, images: Sequence[Any], start_is_known: bool) -> None:
    """Log a warning if a model is to be scored on images that had, or may have had, a part in its training.

    Args:
        seen: number of scored images that had a part in the training; None if it is not on record.
        images: all images that are scored.
        start_is_known: whether the images are on record that the initial weights of the training were trained on.
    """
    if idist.get_rank() > 0:
        return
    if seen:
        _logger.warning(
            f"WARNING: the model was trained on {seen} of the {len(images)} images it is scored on, or chosen by them"
        )
    if not start_is_known:
        _logger.warning(f"WARNING: {UNKNOWN_START}")


def _protocol(
    records: Sequence[Mapping[str, Any] | None], training_images: Mapping[str, Any], seen: int
) -> str:
    """Name the protocol of scores, if the scored images are not exactly the images that the training held out."""
    if not training_images:
        return "unknown"
    if seen:
        return "all"
    return "held-out" if any(record is not None for record in records) else "external"


def _absolute(dataset_dir: str | os.PathLike | None) -> str | None:
    return None if dataset_dir is None else absolute(dataset_dir)
