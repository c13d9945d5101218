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
"""Choose the images that a model is scored on, and tell how they relate to those of its training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist

from .checks import check_processes
from .errors import InputError
from .folds import relative_names
from .grouping import group_names
from .image_reader import ImageFileReader
from .settings import absolute
from .survey import Facts, pixel_digest

__all__ = ["images_to_score", "protocol_of", "seen_in_training"]

_logger = logging.getLogger("qtseg")


def images_to_score(
    settings: Mapping[str, Any],
    datalist: Sequence[Mapping[str, Any]],
    *,
    root: str | os.PathLike,
    dataset_dir: str | os.PathLike | None,
    part: str,
    fold: int,
    group: str | None,
    image_reader: ImageFileReader,
) -> dict[str, Any]:
    """The images that a model is scored on: those its training held out, or all of another dataset.

    A dataset in another folder is that of the training if it holds all images that were held out, by name and pixels.

    Args:
        settings: the model's, as read by :py:func:`.settings.read_settings`.
        datalist: all images of the dataset.
        root: the dataset's folder.
        dataset_dir: as given; None for the synthetic images.
        part: "test": what was held out. "all": every image.
        fold: must be that of the training.
        group: the rule for groups, as for :py:func:`.grouping.group_names`. None: the groups that the training knew,
            where the dataset is the training's; else each image is a group of its own.
        image_reader: reads the images.

    Returns:
        ``"test"``, items of ``"image"``, ``"label"`` and ``"group"``; and ``"protocol"``, the name of what their scores
        mean, of :py:data:`.protocols.PROTOCOLS`.

    Raises:
        InputError: if ``part`` is neither, the fold is another, or an image that was held out is not there.
    """
    if part not in ("test", "all"):
        raise InputError(f'part is {part!r}; use "test" for the images that were held out, or "all"')
    if fold != settings["fold"]:
        raise InputError(
            f"fold is {fold}, but the model was trained on fold {settings['fold']} and is scored on what that held "
            "out; leave --fold out, or set --ckpt_dir to the model of that fold"
        )
    paths = dict(zip(relative_names(datalist, root), (item["image"] for item in datalist)))
    known = settings["images"]
    held_out = {name: facts["digest"] for name, facts in known.items() if facts["part"] == "test"}
    same = bool(held_out) and settings["dataset_dir"] == (None if dataset_dir is None else absolute(dataset_dir))
    if same and part == "test" and (missing := sorted(set(held_out) - set(paths))):
        raise InputError(
            f"{missing[0]} is not in {root}, but was held out in training ({len(missing)} such image(s)); put it back, "
            "or set --part all"
        )
    same = same or _are_there(held_out, paths, image_reader)
    if group is not None:
        groups = group_names(datalist, group)
    else:
        groups = [known[name]["group"] if same and name in known else name for name in paths]
    items = [
        {"image": item["image"], "label": item["label"], "group": group_of_item}
        for name, item, group_of_item in zip(paths, datalist, groups)
        if name in held_out or not same or part == "all"
    ]
    check_processes(items, "to score")
    kind = "external" if not same else "all" if part == "all" else settings["protocol"]
    return {"test": items, "protocol": kind}


def seen_in_training(settings: Mapping[str, Any], facts: Sequence[Facts]) -> list[str]:
    """Images that are about to be scored, and that the model was trained on.

    Args:
        settings: the model's, as read by :py:func:`.settings.read_settings`.
        facts: of the images, from :py:func:`.survey.survey_images`.

    Returns:
        The paths of those whose pixels equal an image's that was trained on. A warning is logged if there are any.
    """
    trained_on = {image["digest"] for image in settings["images"].values() if image["part"] == "train"}
    seen = [each.image for each in facts if each.digest in trained_on]
    if seen and idist.get_rank() == 0:
        _logger.warning(f"WARNING: the model was trained on {len(seen)} of the {len(facts)} images it is scored on")
    return seen


def protocol_of(chosen: str, seen: Sequence[str]) -> str:
    """The name of what the scores mean, once the images are known to be new or not.

    Args:
        chosen: ``"protocol"`` of :py:func:`images_to_score`.
        seen: from :py:func:`seen_in_training`.

    Returns:
        A name of :py:data:`.protocols.PROTOCOLS`: images of another folder are not external if some were trained on.
    """
    return "all" if chosen == "external" and seen else chosen


def _are_there(held_out: Mapping[str, str], paths: Mapping[str, str], image_reader: ImageFileReader) -> bool:
    """Whether the held-out images are among these, the same by name and pixels."""
    if not held_out or not held_out.keys() <= paths.keys():
        return False
    return all(pixel_digest(image_reader.get_data([paths[name]])[0]) == held_out[name] for name in held_out)
