# SPDX-License-Identifier: Apache-2.0

"""The fields of ``model.json`` and their checks.

The file can come from anywhere. Its values go into configs, where text can be code, so every value is checked.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import InputError
from ..common.knobs import image_size, is_finite, is_whole
from ..common.limits import INTENSITIES, LABEL_FITS, MAX_CLASSES, MOST_FITTED_PIXELS, MOST_OVERLAP, MOST_PIXELS, STRIDE
from ..data.splits.protocols import TRAINING_PROTOCOLS
from ..networks.qtseg import OPTIONS
from ..transforms.cleaning import NO_CLEANING

__all__ = ["FIELDS", "PUBLISHED", "Field", "check_as_trained", "check_settings", "missing_fields"]

_FIRST = "0.1.0"  # the version of the bundle that wrote the first model.json


@dataclass(frozen=True)
class Field:
    """A field of ``model.json`` that is read again. A value that is only recorded in the file needs no row.

    Args:
        name: key in the file.
        default: value of the published model. It is used for weights without a settings file beside them, and for
            models of versions before ``since``.
        since: first version of the bundle that wrote the field, such as "0.3.0".
        is_value: function that returns whether a value is allowed.
        expected: description of the allowed values, as words of a message.
        as_trained: whether the model can only be used with the value of its training. If so, all models of an ensemble
            must have the same value, and a training that continues the model keeps it.
    """

    name: str
    default: Any
    since: str
    is_value: Callable[[Any], bool]
    expected: str
    as_trained: bool = False


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
    return all(isinstance(switch, bool) for switch in switches) and is_whole(smallest) and 0 <= smallest <= MOST_PIXELS


def _is_color(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(is_whole(part) and 0 <= part <= 255 for part in value)


def _are_colors(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and len(value) <= MAX_CLASSES and all(_is_color(color) for color in value)


def _are_images(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(image, dict) and all(isinstance(image.get(name), str) for name in ("part", "group", "digest"))
        for image in value.values()
    )


def _are_leaks(value: Any) -> bool:
    """Return whether a value has the form of :py:func:`..data.splits.leaks.find_leaks`."""

    def is_leak(leak: Any) -> bool:
        if not (isinstance(leak, dict) and is_whole(leak.get("fold")) and is_whole(leak.get("num_groups"))):
            return False
        groups = leak.get("groups")
        return isinstance(groups, list) and bool(groups) and all(is_group(group) for group in groups)

    def is_group(group: Any) -> bool:
        return isinstance(group, dict) and bool(group) and all(isinstance(image, str) for image in group.values())

    return isinstance(value, list) and all(is_leak(leak) for leak in value)


def _is_text_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and "\0" not in value)


FIELDS: tuple[Field, ...] = (
    Field(
        "network_name",
        "qtseg",
        "0.3.0",
        lambda value: isinstance(value, str) and bool(re.fullmatch(r"\w+", value)),
        "a network's name",
        as_trained=True,
    ),
    *(
        Field(option.name, option.default, option.since, option.is_value, option.expected, as_trained=True)
        for option in OPTIONS.values()
    ),
    Field(
        "spatial_size",
        [512, 512],
        "0.1.0",
        _is_size,
        f"[height, width] in pixels, divisible by {STRIDE}, at most {MOST_FITTED_PIXELS} in all",
        as_trained=True,
    ),
    Field("geometry", "fit", "0.2.0", lambda value: value in ("fit", "native"), "fit or native", as_trained=True),
    Field(
        "overlap",
        0.25,
        "0.2.0",
        lambda value: is_finite(value) and 0 <= value <= MOST_OVERLAP,
        f"a share from 0 to {MOST_OVERLAP}",
        as_trained=True,
    ),
    Field("cleaning", NO_CLEANING, "0.2.0", _is_cleaning, "fill_holes, largest_component and smallest_object"),
    Field(
        "out_channels",
        2,
        "0.1.0",
        lambda value: is_whole(value) and 2 <= value <= MAX_CLASSES,
        f"2 to {MAX_CLASSES} classes",
        as_trained=True,
    ),
    Field("dataset_dir", None, "0.1.0", _is_text_or_none, "a path, or null"),
    Field("layout", "folder", "0.1.0", lambda value: isinstance(value, str), "the name of a layout"),
    Field("color_space", "RGB", "0.2.0", lambda value: value in ("RGB", "YCrCb"), "RGB or YCrCb", as_trained=True),
    Field(
        "intensities",
        "min_max",
        "0.4.0",
        lambda value: value in INTENSITIES,
        " or ".join(INTENSITIES),
        as_trained=True,
    ),
    Field("label_colors", None, "0.2.0", _are_colors, "a list of [red, green, blue], or null"),
    Field(
        "background_color",
        None,
        "0.4.0",
        lambda value: value is None or _is_color(value),
        "[red, green, blue], or null",
    ),
    Field("instance_labels", False, "0.4.0", lambda value: isinstance(value, bool), "true or false"),
    Field("label_fit", "nearest", "0.3.0", lambda value: value in LABEL_FITS, " or ".join(LABEL_FITS)),
    Field("fold", 0, "0.1.0", lambda value: is_whole(value) and value >= 0, "the number of a fold"),
    Field(
        "protocol",
        "held-out",
        "0.2.0",
        lambda value: value in TRAINING_PROTOCOLS,
        " or ".join(TRAINING_PROTOCOLS),
    ),
    Field("split_digest", None, "0.2.0", _is_text_or_none, "the digest of a split, or null"),
    Field("images", {}, "0.2.0", _are_images, "part, group and digest of each image, by its name"),
    Field(
        "seen_before",
        [],
        "0.2.0",
        lambda value: isinstance(value, list) and all(isinstance(digest, str) for digest in value),
        "a list of digests",
    ),
    Field("start_is_known", True, "0.3.0", lambda value: isinstance(value, bool), "true or false"),
    Field(
        "leaks",
        [],
        "0.2.0",
        _are_leaks,
        "a list of leaks, with the fold, the number of groups and an image of each part",
    ),
)

#: Texts that a training records, and that a published model does not have.
_TEXTS = ("run", "sha256", "split")

#: The published setting, used for weights that have no settings beside them, such as a converted release checkpoint.
PUBLISHED: dict[str, Any] = {field.name: field.default for field in FIELDS}


def missing_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a model of an earlier version does not have, with the values that its training used.

    Models may have been trained while a version was still in development. They may therefore lack any field that came
    with their own version.

    Args:
        settings: content of ``model.json``.

    Returns:
        Names and defaults of the missing fields that came with the version of the model, or later.
    """
    version = max((_order(field.since) for field in FIELDS if field.name in settings), default=_order(_FIRST))
    return {
        field.name: field.default
        for field in FIELDS
        if field.name not in settings and field.since != _FIRST and _order(field.since) >= version
    }


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def check_settings(settings: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Check the settings of a model.

    Args:
        settings: content of ``model.json``, with all fields.
        path: path of the file, for the message.

    Raises:
        InputError: if a value is not allowed. The message names the first such field.
    """
    rules = [(field.name, field.is_value, field.expected) for field in FIELDS]
    rules += [(name, _is_text_or_none, "a text, or null") for name in _TEXTS if name in settings]
    for name, is_value, expected in rules:
        if not is_value(settings[name]):
            raise InputError(
                f"{path} has {name} {reprlib.repr(settings[name])}; expected is {expected}: put back the file as the "
                "training wrote it, or train again"
            )


def check_as_trained(trained: Mapping[str, Any], **knobs: Any) -> None:
    """Check that a model is used with the same values of knobs as in its training.

    A published checkpoint is not checked, because the values of its training are not on record.

    Args:
        trained: settings of the model.
        knobs: values of the knobs by name.

    Raises:
        InputError: if a knob has another value than in the training.
    """
    for name, value in knobs.items() if "run" in trained else []:
        if value != trained.get(name):
            raise InputError(
                f"{name} is {value!r}, but the model was trained with {trained.get(name)!r} and is used as it was "
                "trained; leave it out"
            )
