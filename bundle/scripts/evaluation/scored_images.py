# SPDX-License-Identifier: Apache-2.0

"""Choose the images that a model is scored on, by what they had to do with its training."""

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
    """A dataset of which a model is scored on some images, or all.

    Attributes:
        settings: the model's, as read by :py:func:`..checkpoints.model_settings.read_settings`.
        dataset_dir, part, fold, group: as for :py:func:`images_to_score`.
    """

    settings: Mapping[str, Any]
    dataset_dir: str | None
    part: str
    fold: int
    group: str | None

    @cached_property
    def _chosen(self) -> dict[str, Any]:
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
        """What was seen of each image that is scored."""
        return self._chosen["facts"]

    @property
    def test(self) -> list[Item]:
        """The images that are scored, each with ``"image"``, ``"label"``, ``"group"`` and ``"seen"``."""
        return self._chosen["test"]

    @property
    def seen(self) -> int | None:
        """How many of them were trained on or chose the epoch; None where that is not on record."""
        return self._chosen["seen"]

    @property
    def protocol(self) -> str:
        """The name of what their scores mean, of :py:data:`..data.splits.protocols.PROTOCOLS`."""
        return self._chosen["protocol"]

    @property
    def leaks(self) -> list[dict[str, Any]]:
        """The leaks of the training's fold, where the images that it held out are scored."""
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
    """The images that a model is scored on: those its training held out, or all where they are not all there.

    Images are told by their pixels, so a dataset that has moved is still that of the training.

    Args:
        settings: the model's, as read by :py:func:`..checkpoints.model_settings.read_settings`.
        datalist: all images of the dataset.
        facts: of them, from :py:func:`..data.survey.survey_images`.
        root: the dataset's folder.
        dataset_dir: as given; None for the synthetic images.
        part: "test": what was held out. "all": every image.
        fold: must be that of the training, where that is on record.
        group: the rule for groups, as for :py:func:`..data.splits.grouping.group_names`. None: the groups
            that the training knew; each image that it did not know is a group of its own.

    Returns:
        ``"test"``, items of ``"image"``, ``"label"``, ``"group"`` and ``"seen"`` ("yes" for one that was trained on or
        chose the epoch, "no", or "unknown" where that is not on record); their ``"facts"``; ``"protocol"``, the name
        of what their scores mean, of :py:data:`..data.splits.protocols.PROTOCOLS`; and ``"seen"``, the number of images
        that were trained on or chose the epoch, None where that is not on record.

    Raises:
        InputError: if ``part`` is neither, the fold is another, an image that was held out is not there or another,
            none of the training's images was held out, the synthetic images have nothing to do with the model and
            nothing else was named, or there are fewer images than processes.
    """
    if part not in ("test", "all"):
        raise InputError(f'part is {part!r}; use "test" for the images that were held out, or "all"')
    known = settings["images"]
    if known and fold != settings["fold"]:
        raise InputError(
            f"fold is {fold}, but the model was trained on fold {settings['fold']} and is scored on what that held "
            "out; leave --fold out, or set --ckpt_dir to the model of that fold"
        )
    names = relative_names(datalist, root)
    by_digest = {image["digest"]: image for image in known.values()}
    records = []  # of the training; None for new images
    for name, each in zip(names, facts):
        of_name = known.get(name)
        same = of_name is not None and of_name["digest"] == each.digest
        records.append(of_name if same else by_digest.get(each.digest))
    if dataset_dir is None and not any(records):
        raise InputError(
            f"{root} holds no image that the model was trained on; name those to score by --dataset_dir, or the folder "
            "of the model that was trained on these by --ckpt_dir"
        )
    held_out = {name: image["digest"] for name, image in known.items() if image["part"] == "test"}
    missing = set(held_out.values()) - {each.digest for each in facts}
    if missing and part == "test" and settings["dataset_dir"] == _remembered(dataset_dir):
        name = next(name for name, digest in held_out.items() if digest in missing)
        what = "has other pixels than" if name in names else f"is not in {root}, but was there"
        raise InputError(
            f"{name} {what} when it was held out in training ({len(missing)} such image(s)); put it back, or set "
            "--part all"
        )
    trained_on_all = {image["digest"] for image in known.values()} <= {each.digest for each in facts}
    if part == "test" and known and not held_out and trained_on_all:
        raise InputError(
            f"the model was trained on the images of {root} and none was held out to score; name others by "
            "--dataset_dir, or set --part all, for scores that are too good"
        )
    as_trained = part == "test" and bool(held_out) and not missing
    positions = [
        i for i, record in enumerate(records) if not as_trained or (record is not None and record["part"] == "test")
    ]
    groups = names if group is None else group_names(datalist, group)
    trained_on, on_record = seen_in_training(settings), bool(known) and settings["start_is_known"]
    items = []
    for i in positions:
        record = records[i]
        of_training = record["group"] if group is None and record is not None else groups[i]
        told = "yes" if facts[i].digest in trained_on else "no" if on_record else "unknown"
        items.append(
            {"image": datalist[i]["image"], "label": datalist[i]["label"], "group": of_training, "seen": told}
        )
    check_processes(items, "to score")
    seen = sum(item["seen"] == "yes" for item in items)
    return {
        "test": items,
        "facts": [facts[i] for i in positions],
        "protocol": settings["protocol"] if as_trained else _protocol([records[i] for i in positions], known, seen),
        "seen": seen if known else None,
    }


def warn_of_training_images(seen: int | None, images: Sequence[Any], start_is_known: bool) -> None:
    """Log a warning if a model is about to be scored on images that had, or may have had, a part in its training.

    Args:
        seen: their number, None where it is not on record.
        images: all that are scored.
        start_is_known: whether it is on record what the weights have seen that the model started from.
    """
    if idist.get_rank() > 0:
        return
    if seen:
        _logger.warning(
            f"WARNING: the model was trained on {seen} of the {len(images)} images it is scored on, or chosen by them"
        )
    if not start_is_known:
        _logger.warning(f"WARNING: {UNKNOWN_START}")


def _protocol(records: Sequence[Mapping[str, Any] | None], known: Mapping[str, Any], seen: int) -> str:
    """What scores mean, where the images are not just all that were held out."""
    if not known:
        return "unknown"
    if seen:
        return "all"
    return "held-out" if any(record is not None for record in records) else "external"


def _remembered(dataset_dir: str | os.PathLike | None) -> str | None:
    return None if dataset_dir is None else absolute(dataset_dir)
