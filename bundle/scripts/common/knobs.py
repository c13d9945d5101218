# SPDX-License-Identifier: Apache-2.0

"""Checks of a run's knobs before its first epoch."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .active_config import calling_parser
from .errors import InputError
from .limits import LABEL_FITS, MAX_CLASSES, MOST_PIXELS, STRIDE, divisible
from .paths import CONFIGS

__all__ = ["check_batch", "check_geometry", "check_knobs", "check_names", "image_size", "switch"]


def image_size(spatial_size: int | Sequence[int]) -> tuple[int, int]:
    """The size that images are fitted to, checked.

    Args:
        spatial_size: (H, W) in pixels, or one number for a square.

    Returns:
        (H, W) in pixels.

    Raises:
        InputError: if it is not one or two positive whole numbers divisible by 32.
    """
    sides = [spatial_size, spatial_size] if isinstance(spatial_size, int) else spatial_size
    if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
        raise InputError(f"spatial_size is {spatial_size!r}; give [height, width] in pixels, such as [512, 512]")
    if any(side % STRIDE for side in sides):
        cure = [divisible(side) for side in sides]
        raise InputError(f"spatial_size is {list(sides)}; both must be divisible by {STRIDE}: use {cure}")
    if sides[0] * sides[1] > MOST_PIXELS:
        raise InputError(f"spatial_size is {list(sides)}; use at most {MOST_PIXELS} pixels in all, such as [512, 512]")
    return sides[0], sides[1]


def switch(**knob: bool | str) -> bool:
    """A knob that is on or off; the command line hands ``true`` and ``false`` on as words.

    Args:
        knob: its name and value.

    Returns:
        Whether it is on.

    Raises:
        InputError: if the value is neither.
    """
    ((name, value),) = knob.items()
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it must be true or false")
    return value


#: knobs that count something, and the least they can be
_COUNTS = {
    **dict.fromkeys(("batch_size", "max_epochs", "learning_rate_step", "val_interval", "save_interval"), 1),
    **dict.fromkeys(("crops_per_image", "max_pixels"), 1),
    **dict.fromkeys(("num_workers", "freeze_epochs", "fold", "seed"), 0),
    **dict.fromkeys(("out_channels", "num_folds"), 2),
}


def check_knobs(knobs: Mapping[str, Any]) -> None:
    """Check the values that no other part checks before the work begins.

    Args:
        knobs: names and resolved values, of a training, an evaluation or an inference.

    Raises:
        InputError: naming the knob, its value and the cure.
    """
    if knobs.get("out_channels") == 1:
        raise InputError("out_channels is 1; it counts the background, so use 2 for one kind of object")
    if isinstance(knobs.get("out_channels"), int) and knobs["out_channels"] > MAX_CLASSES:
        raise InputError(f"out_channels is {knobs['out_channels']}; masks hold at most {MAX_CLASSES} classes")
    for name, least in _COUNTS.items():
        value = knobs.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    if knobs.get("label_fit", LABEL_FITS[0]) not in LABEL_FITS:
        raise InputError(f"label_fit is {knobs['label_fit']!r}; use one of {', '.join(LABEL_FITS)}")
    patience = knobs.get("early_stopping")
    if patience is not None and (not isinstance(patience, int) or isinstance(patience, bool) or patience < 1):
        raise InputError(f"early_stopping is {patience!r}; it must be a number of validations, or left out")
    for name in ("learning_rate", "min_learning_rate", "weight_decay", "cache_rate", "overlap", "tolerance"):
        value = knobs.get(name, 0.1)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}; it must be a number of at least 0")
    for name in ("output_dir", "ckpt_dir"):
        if not isinstance(knobs.get(name, ""), str):  # the command line takes 2018 for a number
            raise InputError(f"{name} is {knobs[name]!r}, which is no path; write ./{knobs[name]}")
        if "::" in knobs.get(name, ""):  # as MONAI's configs read it
            written = knobs[name].replace("::", "#")
            raise InputError(f"{name} is {written}, but in a path of a config no # can be; use a folder without it")
    size = knobs.get("pixel_size", 1.0)
    if not isinstance(size, (int, float)) or isinstance(size, bool) or not 0 < size < math.inf:
        raise InputError(f"pixel_size is {size!r}; it must be the side of a pixel in mm, such as 0.5")
    if knobs.get("overlap", 0) >= 1:
        raise InputError(f"overlap is {knobs['overlap']!r}; it must be at least 0 and less than 1")
    if knobs.get("learning_rate") == 0:
        raise InputError("learning_rate is 0, with which nothing is learned; the paper uses 0.001")
    if knobs.get("freeze_epochs") and knobs["encoder_weights"] is None and knobs["weights"] is None:
        raise InputError("freeze_epochs is set, but the encoder starts at random; set encoder_weights or weights too")
    if knobs.get("cache_rate", 0) > 1:
        raise InputError(f"cache_rate is {knobs['cache_rate']}; it is the share of images kept in memory, from 0 to 1")


def check_batch(norm: str | None, *, size: tuple[int, int], images: int) -> None:
    """Check that a step gives batch normalization more than one value a channel, down to 1/32 of the size.

    Args:
        norm: the knob; None for other networks.
        size: (H, W) in pixels that the network sees.
        images: of a step.

    Raises:
        InputError: if it does not.
    """
    if norm == "batch" and size == (STRIDE, STRIDE) and images == 1:
        raise InputError(
            f"a step of one image of {STRIDE} x {STRIDE} leaves batch normalization one value a channel; set "
            f'--batch_size 2 or more, --spatial_size "[{2 * STRIDE}, {2 * STRIDE}]", or --norm group'
        )


def check_names(config: Mapping[str, Any] | None = None, also: Iterable[str] = ()) -> None:
    """Check that every name set from outside is one that the config uses: MONAI ignores any other.

    A top-level name has no effect if nothing refers to it, and it is of no config of the bundle that is in use.

    Args:
        config: the config; None, where this is named in a config, for that one.
        also: names that a component of the config reads, though nothing in it refers to them.

    Raises:
        InputError: naming what has no effect, and the knob that may have been meant.
    """
    config = calling_parser().get() if config is None else config
    text = json.dumps(config, default=str)
    files = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(CONFIGS.rglob("*.json"))}
    known = {name for content in files.values() if _is_in_use(content, config) for name in _top_level(content)}
    known |= set(also)
    for name in config:
        if name not in known and not name.startswith("_") and not re.search(rf"@{re.escape(name)}\b", text):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            others = [path for path, content in files.items() if name in _top_level(content)]
            cure = f"did you mean {near[0]}?" if near else "remove it"
            cure = f"it is one of configs/{others[0].relative_to(CONFIGS)}" if others else cure
            raise InputError(f"{name} is no knob of this config and would have no effect; {cure}")


def _top_level(content: Mapping[str, Any]) -> set[str]:
    """The top-level names that a config file sets or changes."""
    return {name.lstrip("+").partition("#")[0] for name in content}


def _is_in_use(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a config file is part of a config: all its names are there, and a value that no command line sets."""
    if not _top_level(content) <= set(config):
        return False
    for name, value in content.items():
        found: Any = config
        for part in name.split("#"):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found == value and (isinstance(value, (list, dict)) or str(value).startswith(("$", "@"))):
            return True
    return False


def check_geometry(geometry: str) -> bool:
    """Check the knob ``geometry``.

    Args:
        geometry: "fit": each image is scaled as a whole to the size that the network takes. "native": it keeps its
            resolution and is seen through windows of that size.

    Returns:
        Whether it is "native".

    Raises:
        InputError: if it is neither.
    """
    if geometry not in _GEOMETRIES:
        raise InputError(f"geometry is {geometry!r}; use one of {', '.join(map(repr, _GEOMETRIES))}")
    return geometry == "native"


_GEOMETRIES = ("fit", "native")
