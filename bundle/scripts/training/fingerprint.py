# SPDX-License-Identifier: Apache-2.0

"""The fingerprint of a training: all that its result depends on, and how two trainings differ in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from monai.bundle import ConfigParser

from ..checkpoints.model_schema import PUBLISHED
from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..common.paths import CONFIGS
from ..data.splits.split import Split
from ..data.survey import Facts
from ..networks.qtseg import OPTIONS
from .config_description import ConfigDescription

__all__ = [
    "FINGERPRINT",
    "check_claim",
    "claim_folder",
    "claim_of",
    "differences",
    "fingerprint_of",
    "is_comparable",
    "is_same",
]

#: The sections of a config that are compared, as names and ids. The knobs, the images and the number of processes are
#: compared too. An id that a config does not have is skipped.
_SECTIONS = {
    "network": "network_def",
    "loss": "train#loss",
    "optimizer": "train#optimizer",
    "schedule": "train#lr_scheduler",
    "training transforms": "train#preprocessing",
    "augmentation": "train#trainer#prepare_batch",
    "sampling": "train#sampler",
    "training inferer": "train#inferer",
    "validation transforms": "validate#preprocessing",
    "validation inferer": "validate#inferer",
    "validation postprocessing": "validate#postprocessing",
    "choice of the epoch": "validate#key_metric",
}

#: Names of knobs and of arguments in a section that change where and how fast a training runs, but not its result.
_WITHOUT_EFFECT = {
    *("dataset_dir", "output_dir", "max_pixels", "num_workers", "cache_rate", "save_interval", "sw_batch_size"),
    *("device", "resume", "tracking_uri", "experiment_name", "run_name", "bundle_root"),
}
#: Names of arguments in a section that another part of the fingerprint holds: a section, a knob, or the images.
_IN_OTHER_PARTS = {"architecture", "dataset", "optimizer", "precision", "seed"}
#: Ids whose values depend on the machine or on its free memory.
_CHOSEN_BY_MACHINE = {"device", "used_batch_size"}

#: The JSON schema of a fingerprint or a claim in a file.
FINGERPRINT = {
    "type": "object",
    "properties": {"images": {"type": "object"}, "sections": {"type": "object"}},
}

#: Values of knobs whose default is another than what was done before there was the knob.
_BEFORE = {"intensities": PUBLISHED["intensities"]}

_FORMAT = 1  # number of the format of fingerprints; those of earlier versions have no number
_SHOWN = 3  # largest number of differences in a message
_DEFAULT = "the default"  # stands in messages for the value of an argument that is not described


def fingerprint_of(
    hyperparameters: Mapping[str, Any], split: Split, facts: Sequence[Facts], ckpt_dir: str
) -> dict[str, Any]:
    """Return the fingerprint of a training: all that its result depends on.

    A config names this function, with the id ``fingerprint``. The fingerprint stays the same if an id of the config is
    renamed, if a module moves, or if a list is divided. No network, dataset or handler has to be built for it.

    Args:
        hyperparameters: names and resolved values of the knobs.
        split: split of the images.
        facts: facts about the images, from :py:func:`..data.survey.survey_images`.
        ckpt_dir: folder of the best model.

    Returns:
        Values of types that JSON can hold: the number of this format; the knobs that have an effect; the sections of
        the config, such as the loss, by class names and arguments; digests of the split and of each image with its
        label; the number of processes; the absolute path of ``ckpt_dir``.

    Raises:
        RuntimeError: if no config calls this function.
    """
    parser = calling_parser()
    description = ConfigDescription(
        parser,
        unbuilt={"fingerprint", *_SECTIONS.values()},
        places=_CHOSEN_BY_MACHINE,
        left_out=_WITHOUT_EFFECT | _IN_OTHER_PARTS,
    )
    fingerprint = {
        "format": _FORMAT,
        **{name: value for name, value in hyperparameters.items() if name not in _WITHOUT_EFFECT},
        "sections": {
            section: description.describe(id) for section, id in _SECTIONS.items() if parser.get(id) is not None
        },
        "split_digest": split.digest,
        "images": {name: _short_digest(image) for name, image in sorted(zip(split.images, facts))},
        "processes": idist.get_world_size(),
        "ckpt_dir": os.path.abspath(ckpt_dir),
    }
    return json.loads(json.dumps(fingerprint, default=lambda value: type(value).__name__))


def _short_digest(facts: Facts) -> str:
    return hashlib.sha256((facts.digest + facts.label_digest).encode()).hexdigest()[:16]


def is_comparable(previous: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Return whether two fingerprints, or two claims, have the same format. Earlier versions wrote another format.

    Args:
        previous: fingerprint or claim of one training.
        current: fingerprint or claim of the other training.
    """
    return previous.get("format") == current.get("format")


def is_same(previous: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Return whether two fingerprints, or two claims, are of the same training.

    Args:
        previous: fingerprint or claim of the earlier training.
        current: fingerprint or claim of this training.
    """
    return is_comparable(previous, current) and not differences(previous, current)


def differences(previous: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Describe how two fingerprints differ.

    A knob that the earlier training did not know yet makes no difference while it does what was done before. If images
    or knobs differ, differences of the sections are not listed, because most of them follow from those.

    Args:
        previous: fingerprint or claim of the earlier training.
        current: fingerprint or claim of this training, in the same format.

    Returns:
        A part of a sentence with the first three differences and the number of the others. It is empty if there are no
        differences.
    """
    images = previous.get("images", {}), current.get("images", {})
    phrases = [_image_differences(*images)] if images[0] != images[1] else []
    new = {name for name, default in _defaults().items() if name not in previous and current.get(name) == default}
    names = [name for name in {**previous, **current} if name not in ("images", "sections", *new)]
    values = ((name, previous.get(name, _BEFORE.get(name)), current.get(name)) for name in names)
    phrases += [phrase for name_and_values in values for phrase in _value_differences(*name_and_values)]
    if not phrases:
        sections = previous.get("sections", {}), current.get("sections", {})
        for name in {**sections[0], **sections[1]}:
            phrases += _section_differences(name, sections[0].get(name), sections[1].get(name))
    more = f"; and {len(phrases) - _SHOWN} more" if len(phrases) > _SHOWN else ""
    return "; ".join(phrases[:_SHOWN]) + more


@cache
def _defaults() -> dict[str, Any]:
    """Return the values that knobs had before there were such knobs, which are mostly their defaults."""
    of_options = {name: option.default for name, option in OPTIONS.items()}
    return {**read_json(CONFIGS / "train.json"), **of_options, **_BEFORE}


def _image_differences(previous: Mapping[str, str], current: Mapping[str, str]) -> str:
    """Describe how the images differ, with the first image of each kind of difference."""
    kinds = {
        "new": [name for name in current if name not in previous],
        "gone": [name for name in previous if name not in current],
        "changed, or its mask": [name for name in current if name in previous and previous[name] != current[name]],
    }
    phrases = (f"{names[0]} is {kind} ({len(names)} in all)" for kind, names in kinds.items() if names)
    return f"of the images {', '.join(phrases)}"


def _value_differences(name: str, previous: Any, current: Any) -> Iterator[str]:
    if previous != current:
        yield f"{name} was {_short(previous)} and is {_short(current)}"


def _section_differences(section: str, previous: Any, current: Any, place: str = "") -> Iterator[str]:
    """Describe how two descriptions of a section differ: in a class, or else in the arguments of the same class."""
    if isinstance(previous, dict) and isinstance(current, dict) and previous.get("_target_") == current.get("_target_"):
        for name in {**previous, **current}:
            inner = f"{place}#{name}" if place else name
            values = previous.get(name, _DEFAULT), current.get(name, _DEFAULT)
            yield from _section_differences(section, *values, inner)
    elif isinstance(previous, list) and isinstance(current, list) and _has_parts([*previous, *current]):
        for i, (item, current_item) in enumerate(zip_longest(previous, current)):
            yield from _section_differences(section, item, current_item, f"{place}#{i}")
    else:
        name = f"{section}: {place}" if place else section
        yield from _value_differences(name, _class_name(previous), _class_name(current))


def _has_parts(values: Sequence[Any]) -> bool:
    return any(isinstance(value, (dict, list)) for value in values)


def _class_name(description: Any) -> Any:
    """Return the name of the class if a value describes a component, else the value."""
    return description.get("_target_", description) if isinstance(description, dict) else description


def _short(value: Any) -> str:
    text = _DEFAULT if value == _DEFAULT else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# Trainings that differ only in these keys belong together. A digest takes the place of the images.
_NOT_CLAIMED = ("ckpt_dir", "split", "seed", "precision", "images")


def claim_of(config: ConfigParser) -> dict[str, Any]:
    """Return the claim of a training: all that its result depends on except the seed and the machine.

    A claim is written into a folder of trainings, so that only trainings with the same claim share it. Trainings
    with the same claim may stand in one line of a table.

    Args:
        config: parser of the config of the training.

    Returns:
        Values of types that JSON can hold: those of the fingerprint without the seed and without values that a machine
        chooses, and a digest of all images and masks.
    """
    fingerprint: dict[str, Any] = config.get_parsed_content("fingerprint")
    claim = {name: value for name, value in fingerprint.items() if name not in _NOT_CLAIMED}
    return {**claim, "precision": config.get("precision"), "images_digest": _digest(fingerprint["images"])}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def claim_folder(path: Path, claim: Mapping[str, Any]) -> None:
    """Claim a folder for a training before it begins. If the folder is claimed already, check that the claim is equal.

    Args:
        path: path of a JSON file in the folder that holds the claim. It is written if it does not exist.
        claim: claim of the training, from :py:func:`claim_of`.

    Raises:
        InputError: if the folder is claimed for another training, or was by an earlier version of the bundle. The
            message says how the trainings differ.
    """
    if path.is_file():
        check_claim(path.parent, read_json(path, cure="give another --output_dir", schema=FINGERPRINT), claim)
    else:
        write_json(path, claim)


def check_claim(what: Path, previous: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Check that two trainings have the same claim.

    Args:
        what: file or folder of the earlier training, for the message.
        previous: claim of the earlier training.
        current: claim of this training.

    Raises:
        InputError: if the claims differ, or if an earlier version of the bundle wrote the first. The message says how
            they differ.
    """
    if not is_comparable(previous, current):
        raise InputError(
            f"{what} was begun by an earlier version of the bundle, whose trainings cannot be compared with those of "
            "this one; give another --output_dir, or go on with the version that began it"
        )
    if phrases := differences(previous, current):
        raise InputError(
            f"{what} is of another training ({phrases}); set it as it was, move it away, or give another --output_dir"
        )
