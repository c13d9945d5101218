# SPDX-License-Identifier: Apache-2.0

"""What a model remembers of its training: its knobs, and which images had a part in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..common.files import absolute, given_path
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
    """What is to be remembered of a model: its knobs, and which images had a part in its training.

    Args:
        hyperparameters: names and resolved values of the knobs.
        divided: the split that the fold is of.
        facts: of the images, from :py:func:`..data.survey.survey_images`.
        leaks: of the split, from :py:func:`..data.splits.leaks.find_leaks`.
        start: weights that the training starts from, if it does.
        encoder: weights that only the encoder starts from, if it does.

    Returns:
        The knobs with ``dataset_dir`` as an absolute path; the ``cleaning`` of masks of the model that the training
        starts from; ``images``: of each image of the fold, by its path in the dataset's folder, its ``part`` ("train",
        "validate" or "test"), ``group`` and ``digest`` of its pixels; ``seen_before``: digests of the images that the
        models it starts from were trained on or chosen by; ``start_is_known``: whether those of ``start`` are on
        record; and the ``leaks`` of the fold.
    """
    dataset_dir, fold = hyperparameters["dataset_dir"], hyperparameters["fold"]
    earlier = settings_of(start)
    images = {
        divided.images[i]: {"part": part, "group": divided.groups[i], "digest": facts[i].digest}
        for part, positions in asdict(divided.folds[fold]).items()
        for i in positions
    }
    return {
        **hyperparameters,
        "dataset_dir": None if dataset_dir is None else absolute(dataset_dir),
        "cleaning": earlier["cleaning"],
        "images": images,
        "seen_before": sorted(seen_in_training(earlier) | seen_in_training(settings_of(encoder))),
        "start_is_known": not _is_there(start) or (earlier is not PUBLISHED and earlier["start_is_known"]),
        "leaks": [leak for leak in leaks if leak["fold"] == fold],
    }


def seen_in_training(settings: Mapping[str, Any]) -> set[str]:
    """Digests of the images that a model was trained on, or chosen by, and the models that it came from.

    Args:
        settings: the model's.
    """
    parts = ("train", "validate", "test") if settings["protocol"] == "paper" else ("train", "validate")
    own = {image["digest"] for image in settings["images"].values() if image["part"] in parts}
    return own | set(settings["seen_before"])


def _is_there(weights: str | os.PathLike | None) -> bool:
    return weights is not None and given_path(weights).is_file()
