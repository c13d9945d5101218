# SPDX-License-Identifier: Apache-2.0

"""Checks of a run's knobs before its first epoch."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .active_config import calling_parser
from .errors import InputError
from .limits import INTENSITIES, LABEL_FITS, MAX_CLASSES, MOST_FITTED_PIXELS, MOST_OVERLAP, STRIDE, divisible
from .paths import CONFIGS

__all__ = ["CHECKS", "check_batch", "check_knobs", "check_names", "image_size", "is_finite", "is_whole", "switch"]


def image_size(spatial_size: int | Sequence[int]) -> tuple[int, int]:
    """Check the size that images are fitted to.

    Args:
        spatial_size: (H, W) in pixels, or one number for a square.

    Returns:
        (H, W) in pixels.

    Raises:
        InputError: if the size is not one or two positive whole numbers divisible by 32, or if it has too many pixels.
    """
    sides = [spatial_size, spatial_size] if isinstance(spatial_size, int) else spatial_size
    if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
        raise InputError(f"spatial_size is {spatial_size!r}; give [height, width] in pixels, such as [512, 512]")
    if any(side % STRIDE for side in sides):
        cure = [divisible(side) for side in sides]
        raise InputError(f"spatial_size is {list(sides)}; both must be divisible by {STRIDE}: use {cure}")
    if sides[0] * sides[1] > MOST_FITTED_PIXELS:
        most = f"use at most {MOST_FITTED_PIXELS} pixels in all, such as [512, 512]"
        raise InputError(f"spatial_size is {list(sides)}; {most}")
    return sides[0], sides[1]


def switch(**knob: bool | str) -> bool:
    """Check a knob that is on or off. The words "true" and "false" are accepted, as the command line passes them.

    Args:
        knob: value of one knob, by its name.

    Returns:
        Whether the knob is on.

    Raises:
        InputError: if the value is neither true nor false.
    """
    ((name, value),) = knob.items()
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it must be true or false")
    return value


Check = Callable[[str, Any], Any]


def _must(holds: Callable[[Any], bool], words: str) -> Check:
    """Make a check that returns a value if ``holds(value)``, and else raises ``<name> is <value><words>``."""

    def check(name: str, value: Any) -> Any:
        if not holds(value):
            raise InputError(f"{name} is {value!r}{words}")
        return value

    return check


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number. True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Return whether a value is a number, and neither infinite nor NaN. True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _count(least: int) -> Check:
    words = f"; it must be a whole number of at least {least}"
    return _must(lambda value: is_whole(value) and value >= least, words)


def _choice(values: Sequence[str]) -> Check:
    return _must(lambda value: value in values, f"; use one of {', '.join(map(repr, values))}")


def _switch(name: str, value: Any) -> bool:
    return switch(**{name: value})


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str):  # the command line turns a folder named 2018 into a number
        raise InputError(f"{name} is {value!r}, which is no path; write ./{value}")
    if "::" in value:  # MONAI's configs turn # into ::
        written = value.replace("::", "#")
        raise InputError(f"{name} is {written}, but in a path of a config no # can be; use a folder without it")
    return value


_NUMBER = _must(lambda value: is_finite(value) and value >= 0, "; it must be a number of at least 0")

#: The checks of a knob, by its name. A check takes the name and the value, and returns the value with its right type.
CHECKS: dict[str, Sequence[Check]] = {
    **dict.fromkeys(("output_dir", "ckpt_dir", "scores_dir"), (_path,)),
    "tracking_uri": (
        _must(lambda value: isinstance(value, str), "; it must be the address of an MLflow server or another store"),
    ),
    "spatial_size": (lambda name, value: image_size(value),),
    "geometry": (_choice(("fit", "native")),),
    "label_fit": (_choice(LABEL_FITS),),
    "intensities": (_choice(INTENSITIES),),
    "out_channels": (
        _must(lambda value: value != 1, "; it counts the background, so use 2 for one kind of object"),
        _count(2),
        _must(lambda value: value <= MAX_CLASSES, f"; masks hold at most {MAX_CLASSES} classes"),
    ),
    **dict.fromkeys(("batch_size", "max_epochs", "learning_rate_step", "val_interval", "save_interval"), (_count(1),)),
    **dict.fromkeys(("crops_per_image", "max_pixels"), (_count(1),)),
    **dict.fromkeys(("num_workers", "freeze_epochs", "fold", "seed"), (_count(0),)),
    "num_folds": (_count(2),),
    "early_stopping": (
        _must(
            lambda value: value is None or (is_whole(value) and value >= 1),
            "; it must be a number of validations, or left out",
        ),
    ),
    **dict.fromkeys(("min_learning_rate", "weight_decay", "tolerance"), (_NUMBER,)),
    "learning_rate": (_NUMBER, _must(bool, ", with which nothing is learned; the paper uses 0.001")),
    "cache_rate": (
        _NUMBER,
        _must(lambda value: value <= 1, "; it is the share of images kept in memory, from 0 to 1"),
    ),
    "overlap": (
        _NUMBER,
        _must(lambda value: value < 1, "; it must be at least 0 and less than 1"),
        _must(lambda value: value <= MOST_OVERLAP, f"; use at most {MOST_OVERLAP}, with 400 windows at each pixel"),
    ),
    "pixel_size": (
        _must(
            lambda value: is_finite(value) and value > 0, "; it must be the side of a pixel in mm, such as 0.5"
        ),
    ),
    **dict.fromkeys(("schedule_by_step", "deterministic", "resume"), (_switch,)),
    **dict.fromkeys(("group_duplicates", "stratify", "instance_labels"), (_switch,)),
    **dict.fromkeys(("fill_holes", "largest_component"), (_switch,)),
    **dict.fromkeys(("overlays", "probability_maps", "uncertainty_maps", "contours"), (_switch,)),
}


def check_knobs(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Check the values of knobs that no other part checks before the work begins.

    Args:
        knobs: names and values of the knobs of a training, an evaluation or an inference.

    Returns:
        Names and values with their right types: a size is (H, W), a switch is a bool. The value of a knob without a row
        in :py:data:`CHECKS` is returned as it is.

    Raises:
        InputError: if a value is wrong. The message names the knob, its value and the cure.
    """
    checked = dict(knobs)
    for name in checked:
        for check in CHECKS.get(name, ()):
            checked[name] = check(name, checked[name])
    if checked.get("freeze_epochs") and checked["encoder_weights"] is None and checked["weights"] is None:
        raise InputError("freeze_epochs is set, but the encoder starts at random; set encoder_weights or weights too")
    return checked


def check_batch(norm: str | None, *, size: tuple[int, int], images: int) -> None:
    """Check that batch normalization gets more than one value for each channel in a training step.

    The coarsest feature maps of the network have 1/32 of the size of the image.

    Args:
        norm: value of the knob ``norm``, or None for networks other than QTSeg.
        size: (H, W) in pixels of the images that the network gets.
        images: number of images in a step.

    Raises:
        InputError: if batch normalization gets only one value for each channel.
    """
    if norm == "batch" and size == (STRIDE, STRIDE) and images == 1:
        raise InputError(
            f"a step of one image of {STRIDE} x {STRIDE} leaves batch normalization one value a channel; set "
            f'--batch_size 2 or more, --spatial_size "[{2 * STRIDE}, {2 * STRIDE}]", or --norm group'
        )


def check_names(config: Mapping[str, Any] | None = None, also: Iterable[str] = ()) -> None:
    """Check that the config uses every name that is set on the command line or in an overlay.

    MONAI ignores names that a config does not use. A top-level name has no effect if nothing in the config refers to it
    and no config file of the bundle that is in use has it.

    Args:
        config: content of the config. None stands for the config that calls this function.
        also: names that a component of the config reads although nothing in the config refers to them.

    Raises:
        InputError: if a name has no effect. The message names it and the knob that the user may have meant.
    """
    config = calling_parser().get() if config is None else config
    text = json.dumps(config, default=str)
    files = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(CONFIGS.rglob("*.json"))}
    used = {name for content in files.values() if _is_in_use(content, config) for name in _top_level(content)}
    used |= set(also)
    for name in config:
        if name not in used and not name.startswith("_") and not re.search(rf"@(knobs\.)?{re.escape(name)}\b", text):
            similar = difflib.get_close_matches(name, used, n=1, cutoff=0.5)
            others = [path for path, content in files.items() if name in _top_level(content)]
            cure = f"did you mean {similar[0]}?" if similar else "remove it"
            cure = f"it is one of configs/{others[0].relative_to(CONFIGS)}" if others else cure
            raise InputError(f"{name} is no knob of this config and would have no effect; {cure}")


def _top_level(content: Mapping[str, Any]) -> set[str]:
    """Return the top-level names that a config file sets or changes."""
    return {name.lstrip("+").partition("#")[0] for name in content}


def _is_in_use(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Return whether a config file is part of a config.

    The config must have all names of the file, and one value of the file that nobody sets on a command line.
    """
    if not _top_level(content) <= set(config):
        return False
    for name, value in content.items():
        section: Any = config
        for part in name.split("#"):
            section = section.get(part) if isinstance(section, Mapping) else None
        if section == value and (isinstance(value, (list, dict)) or str(value).startswith(("$", "@"))):
            return True
    return False
