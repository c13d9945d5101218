# SPDX-License-Identifier: Apache-2.0

"""What the result of a training depends on, and how two trainings differ in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from monai.bundle import ConfigParser

from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..data.splits.split import Split
from ..data.survey import Facts

__all__ = ["bind", "check_terms", "differences", "recipe_of", "terms_of"]

_SHOWN = 3  # differences in a message

# Names in the config that change where and how quickly a training runs and what it is called, not its result.
_WITHOUT_EFFECT = {
    "_meta_", "imports", "bundle_root",
    "dataset_dir", "output_dir", "max_pixels", "num_workers", "cache_rate", "save_interval", "device",
    "tracking_uri", "experiment_name", "artifact_location", "run_prefix", "run_name", "parent_run", "run_dir", "resume",
    "pixels_per_image", "fitting_batch_size", "unfinished", "executed_config", "save_execute_config", "is_not_rank0",
    "initialize", "finalize", "run", "training",
    "hyperparameters", "settings", "data_check", "curves", "train#handlers", "train#dataset",
    "train#trainer#optim_set_to_none", "validate#handlers", "validate#dataset",
}  # fmt: skip


def recipe_of(
    hyperparameters: Mapping[str, Any], split: Split, facts: Sequence[Facts], ckpt_dir: str
) -> dict[str, Any]:
    """What the result of a training depends on. To be named in a config.

    Args:
        hyperparameters: names and resolved values of the knobs.
        split: of the images.
        facts: of the images, from :py:func:`..data.survey.survey_images`.
        ckpt_dir: folder of the best model.

    Returns:
        Values that JSON can hold: of the knobs, and of all else in the config that has an effect, by their ids; a
        digest of each image with its label; the number of processes.

    Raises:
        RuntimeError: if not called by a config.
    """
    recipe = {name: value for name, value in hyperparameters.items() if name not in _WITHOUT_EFFECT}
    recipe |= dict(_leaves(calling_parser().get(), set(hyperparameters)))
    recipe["split_digest"] = split.digest
    recipe["images"] = {name: _short_digest(each) for name, each in sorted(zip(split.images, facts))}
    recipe["processes"] = idist.get_world_size()
    recipe["ckpt_dir"] = os.path.abspath(ckpt_dir)
    return json.loads(json.dumps(recipe, default=lambda value: type(value).__name__))


def _short_digest(facts: Facts) -> str:
    return hashlib.sha256((facts.digest + facts.label_digest).encode()).hexdigest()[:16]


def _leaves(config: Any, knobs: set[str], place: str = "") -> Iterator[tuple[str, Any]]:
    """Ids and values of a config, but those that are knobs or without effect."""
    if place in _WITHOUT_EFFECT or place in knobs or place.split("#")[-1] == "_desc_":
        return
    if isinstance(config, Mapping | list) and config:
        for name, value in config.items() if isinstance(config, Mapping) else enumerate(config):
            yield from _leaves(value, knobs, f"{place}#{name}" if place else str(name))
    else:
        yield place, config


def differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two recipes differ, as a part of a sentence; of many differences the first three.

    Args:
        begun: that of a training that was cut off.
        now: another.
    """
    images = begun.get("images", {}), now.get("images", {})
    told = [_of_images(*images)] if images[0] != images[1] else []
    names = [name for name in {**begun, **now} if name != "images" and begun.get(name) != now.get(name)]
    told += [f"{name} was {_short(begun.get(name))} and is {_short(now.get(name))}" for name in names]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def _of_images(begun: Mapping[str, str], now: Mapping[str, str]) -> str:
    """How the images differ, with the first of each kind."""
    kinds = {
        "new": [name for name in now if name not in begun],
        "gone": [name for name in begun if name not in now],
        "changed, or its mask": [name for name in now if name in begun and begun[name] != now[name]],
    }
    each = (f"{names[0]} is {kind} ({len(names)} in all)" for kind, names in kinds.items() if names)
    return f"of the images {', '.join(each)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# where files lie, and what a machine chooses: told beside the scores, but no other training
_ELSEWHERE = ("ckpt_dir", "split", "seed", "precision")


def terms_of(config: ConfigParser) -> dict[str, Any]:
    """What the result of a training depends on, the seed aside: equal for trainings that may stand in one line.

    Args:
        config: of the training.

    Returns:
        Values that JSON can hold: the knobs, and digests of the split, of images and masks, and of all else in the
        config, such as network and transforms.
    """
    recipe: dict[str, Any] = config.get_parsed_content("training_recipe")
    knobs = config.get_parsed_content("hyperparameters")
    terms = {name: value for name, value in recipe.items() if name in knobs and name not in _ELSEWHERE}
    terms["precision"] = config.get("precision")
    for name in ("split_digest", "processes"):
        terms[name] = recipe[name]
    others = {name: value for name, value in recipe.items() if name not in {*terms, *_ELSEWHERE, "images"}}
    return {**terms, "images_digest": _digest(recipe["images"]), "config_digest": _digest(others)}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def bind(path: Path, terms: Mapping[str, Any]) -> None:
    """Bind a folder to a training before it begins, or check that it was begun as the same.

    Args:
        path: of a JSON file in the folder, which is written if it is not there.
        terms: of the training.

    Raises:
        InputError: if it was begun as another; says in what they differ.
    """
    if path.is_file():
        check_terms(path.parent, read_json(path), terms)
    else:
        write_json(path, terms)


def check_terms(what: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that two trainings are the same.

    Args:
        what: is of the first, for the message.
        begun, now: terms of both.

    Raises:
        InputError: saying in what they differ.
    """
    told = differences(begun, now)
    if told:
        raise InputError(
            f"{what} is of another training ({told}); set it as it was, move it away, or give another --output_dir"
        )
