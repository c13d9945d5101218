# SPDX-License-Identifier: Apache-2.0

"""What may stand in a ``model.json``, which can come from anywhere: in configs, where it goes, text can be code."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from ..common.errors import InputError
from ..common.knobs import image_size
from ..common.limits import LABEL_FITS, MAX_CLASSES, MOST_PIXELS, STRIDE
from ..data.splits.protocols import TRAINING_PROTOCOLS
from ..transforms.cleaning import NO_CLEANING

__all__ = ["ADDED", "PUBLISHED", "check_as_trained", "check_settings"]

#: the published setting, used for weights that have no settings beside them (a converted release checkpoint)
PUBLISHED: dict[str, Any] = {
    "network_name": "qtseg",
    "norm": "batch",
    "detail": False,
    "refine": False,
    "spatial_size": [512, 512],
    "geometry": "fit",
    "overlap": 0.25,
    "cleaning": NO_CLEANING,
    "out_channels": 2,
    "dataset_dir": None,
    "layout": "folder",
    "color_space": "RGB",
    "label_colors": None,
    "label_fit": "nearest",
    "fold": 0,
    "protocol": "held-out",
    "split_digest": None,
    "images": {},
    "seen_before": [],
    "start_is_known": True,
    "leaks": [],
}

# settings that models of earlier versions do not have; those models are as published
ADDED = {name: PUBLISHED[name] for name in ("network_name", "norm", "detail", "refine", "label_fit")}


def check_settings(settings: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Check the settings of a model.

    Args:
        settings: content of its ``model.json``.
        path: of the file.

    Raises:
        InputError: naming the first that is none.
    """
    for name, (is_one, expected) in _EXPECTED.items():
        if not is_one(settings[name]):
            raise InputError(
                f"{path} has {name} {reprlib.repr(settings[name])}; expected is {expected}: put back the file as the "
                "training wrote it, or train again"
            )


def check_as_trained(trained: Mapping[str, Any], **knobs: Any) -> None:
    """Check knobs that a model is used with as it was trained; of a published checkpoint nothing is known.

    Args:
        trained: the model's settings.
        knobs: names and values.

    Raises:
        InputError: if one has another value.
    """
    for name, value in knobs.items() if "run" in trained else []:
        if value != trained.get(name):
            raise InputError(
                f"{name} is {value!r}, but the model was trained with {trained.get(name)!r} and is used as it was "
                "trained; leave it out"
            )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    try:
        return bool(image_size(value))
    except InputError:
        return False


def _is_cleaning(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    switches = (value.get(name) for name in ("fill_holes", "largest_component"))
    smallest: Any = value.get("smallest_object")
    return all(isinstance(switch, bool) for switch in switches) and _is_whole(smallest) and bool(smallest >= 0)


def _are_colors(value: Any) -> bool:
    def is_color(color: Any) -> bool:
        return isinstance(color, list) and len(color) == 3 and all(_is_whole(part) for part in color)

    return value is None or (isinstance(value, list) and all(is_color(color) for color in value))


def _are_images(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(image, dict) and all(isinstance(image.get(name), str) for name in ("part", "group", "digest"))
        for image in value.values()
    )


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "network_name": (lambda value: isinstance(value, str) and bool(re.fullmatch(r"\w+", value)), "a network's name"),
    "norm": (lambda value: value in ("batch", "group", None), "batch or group, or null for a network of another kind"),
    "detail": (lambda value: isinstance(value, bool), "true or false"),
    "refine": (lambda value: isinstance(value, bool), "true or false"),
    "spatial_size": (_is_size, f"[height, width] in pixels, divisible by {STRIDE}, at most {MOST_PIXELS} in all"),
    "geometry": (lambda value: value in ("fit", "native"), "fit or native"),
    "overlap": (lambda value: isinstance(value, (int, float)) and 0 <= value < 1, "a share from 0 to below 1"),
    "cleaning": (_is_cleaning, "fill_holes, largest_component and smallest_object"),
    "out_channels": (lambda value: _is_whole(value) and 2 <= value <= MAX_CLASSES, f"2 to {MAX_CLASSES} classes"),
    "dataset_dir": (_is_text_or_none, "a path, or null"),
    "layout": (lambda value: isinstance(value, str), "the name of a layout"),
    "color_space": (lambda value: value in ("RGB", "YCrCb"), "RGB or YCrCb"),
    "label_colors": (_are_colors, "a list of [red, green, blue], or null"),
    "label_fit": (lambda value: value in LABEL_FITS, " or ".join(LABEL_FITS)),
    "fold": (lambda value: _is_whole(value) and value >= 0, "the number of a fold"),
    "protocol": (lambda value: value in TRAINING_PROTOCOLS, " or ".join(TRAINING_PROTOCOLS)),
    "split_digest": (_is_text_or_none, "the digest of a split, or null"),
    "images": (_are_images, "part, group and digest of each image, by its name"),
    "seen_before": (
        lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value), "a list of digests"
    ),
    "start_is_known": (lambda value: isinstance(value, bool), "true or false"),
    "leaks": (
        lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value), "a list of leaks"
    ),
}
