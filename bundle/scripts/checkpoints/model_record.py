# SPDX-License-Identifier: Apache-2.0

"""The record of a model's training: the knobs, and the images that took part in the training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..common.files import absolute, user_path
from ..data.splits.split import Split
from ..data.survey import Facts
from .model_schema import PUBLISHED
from .model_settings import settings_of

__all__ = ["describe_model", "seen_in_training"]


def describe_model(
    hyperparameters: Mapping[str, Any],
    divided: Split,
    facts: Sequence[Facts],
    leaks: Sequence[Mapping[str, Any]],
    start: str | os.PathLike | None = None,
    encoder: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Return the record of a model: its knobs, and the images that took part in its training.

    Args:
        hyperparameters: names and resolved values of the knobs.
        divided: split of the images that has the fold of the training.
        facts: facts about the images, from :py:func:`..data.survey.survey_images`.
        leaks: leaks between the parts of the split, from :py:func:`..data.splits.leaks.find_leaks`.
        start: file with the weights that the whole network starts from, or None.
        encoder: file with the weights that only the encoder starts from, or None.

    Returns:
        The knobs, with ``dataset_dir`` as an absolute path, and these keys:

        - ``cleaning``: how the model that the training starts from cleans its masks;
        - ``images``: for each image of the fold, by its path in the dataset's folder, the ``part`` ("train",
          "validate" or "test"), the ``group``, and the ``digest`` of its pixels;
        - ``seen_before``: digests of the images that trained or chose the models that this training starts from;
        - ``start_is_known``: whether the images of the model ``start`` are on record;
        - ``leaks``: the leaks of the fold.
    """
    dataset_dir, fold = hyperparameters["dataset_dir"], hyperparameters["fold"]
    start_settings = settings_of(start)
    images = {
        divided.images[i]: {"part": part, "group": divided.groups[i], "digest": facts[i].digest}
        for part, positions in asdict(divided.folds[fold]).items()
        for i in positions
    }
    return {
        **hyperparameters,
        "dataset_dir": None if dataset_dir is None else absolute(dataset_dir),
        "cleaning": start_settings["cleaning"],
        "images": images,
        "seen_before": sorted(seen_in_training(start_settings) | seen_in_training(settings_of(encoder))),
        "start_is_known": not _is_file(start) or (start_settings is not PUBLISHED and start_settings["start_is_known"]),
        "leaks": [leak for leak in leaks if leak["fold"] == fold],
    }


def seen_in_training(settings: Mapping[str, Any]) -> set[str]:
    """Return the digests of all images that trained or chose a model, or a model that its training started from.

    Args:
        settings: settings of the model.
    """
    parts = ("train", "validate", "test") if settings["protocol"] == "paper" else ("train", "validate")
    own = {image["digest"] for image in settings["images"].values() if image["part"] in parts}
    return own | set(settings["seen_before"])


def _is_file(weights: str | os.PathLike | None) -> bool:
    return weights is not None and user_path(weights).is_file()
