# SPDX-License-Identifier: Apache-2.0

"""What the result of a training depends on, and how two trainings differ in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from monai.bundle import ConfigParser

from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..data.splits.split import Split
from ..data.survey import Facts
from .config_description import ConfigDescription

__all__ = ["check_claim", "claim_folder", "claim_of", "differences", "fingerprint_of", "is_comparable"]

#: What of a config is compared, beside the knobs, the images and the number of processes. An id that a config has not
#: is skipped.
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

#: Knobs, and arguments in a section, that change where and how quickly a training runs, not its result.
_WITHOUT_EFFECT = {
    *("dataset_dir", "output_dir", "max_pixels", "num_workers", "cache_rate", "save_interval", "sw_batch_size"),
    *("device", "resume", "tracking_uri", "experiment_name", "run_name", "bundle_root"),
}
#: Arguments in a section that another part of the fingerprint tells: a section, a knob, or the images.
_TOLD_ELSEWHERE = {"dataset", "optimizer", "precision", "seed"}
#: Ids that a machine chooses, or what memory a run finds.
_CHOSEN_BY_MACHINE = {"device", "used_batch_size"}

_FORMAT = 1  # of a fingerprint; those of earlier versions have no number
_SHOWN = 3  # differences in a message


def fingerprint_of(
    hyperparameters: Mapping[str, Any], split: Split, facts: Sequence[Facts], ckpt_dir: str
) -> dict[str, Any]:
    """What the result of a training depends on. To be named in a config, with the id ``fingerprint``.

    It stays the same when an id of the config gets another name, a module moves or a list is divided. It takes no
    network, no dataset and no handler to be built.

    Args:
        hyperparameters: names and resolved values of the knobs.
        split: of the images.
        facts: of the images, from :py:func:`..data.survey.survey_images`.
        ckpt_dir: folder of the best model.

    Returns:
        Values that JSON can hold: the number of this format; the knobs that have an effect; the sections of the config,
        such as the loss, by class names and arguments; digests of the split and of each image with its label; the
        number of processes; the absolute path of ``ckpt_dir``.

    Raises:
        RuntimeError: if not called by a config.
    """
    parser = calling_parser()
    description = ConfigDescription(
        parser,
        unbuilt={"fingerprint", *_SECTIONS.values()},
        places=_CHOSEN_BY_MACHINE,
        left_out=_WITHOUT_EFFECT | _TOLD_ELSEWHERE,
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


def is_comparable(begun: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two fingerprints, or two claims, have the same format; those of earlier versions have another."""
    return begun.get("format") == now.get("format")


def differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two fingerprints differ, as a part of a sentence; of many differences the first three.

    Where images or knobs differ, differences of the sections are not listed: most follow from those.

    Args:
        begun: that of a training that was cut off.
        now: another, of the same format.
    """
    images = begun.get("images", {}), now.get("images", {})
    phrases = [_of_images(*images)] if images[0] != images[1] else []
    names = [name for name in {**begun, **now} if name not in ("images", "sections")]
    phrases += [phrase for name in names for phrase in _of_values(name, begun.get(name), now.get(name))]
    if not phrases:
        sections = begun.get("sections", {}), now.get("sections", {})
        for name in {**sections[0], **sections[1]}:
            phrases += _of_section(name, sections[0].get(name), sections[1].get(name))
    more = f"; and {len(phrases) - _SHOWN} more" if len(phrases) > _SHOWN else ""
    return "; ".join(phrases[:_SHOWN]) + more


def _of_images(begun: Mapping[str, str], now: Mapping[str, str]) -> str:
    """How the images differ, with the first of each kind."""
    kinds = {
        "new": [name for name in now if name not in begun],
        "gone": [name for name in begun if name not in now],
        "changed, or its mask": [name for name in now if name in begun and begun[name] != now[name]],
    }
    phrases = (f"{names[0]} is {kind} ({len(names)} in all)" for kind, names in kinds.items() if names)
    return f"of the images {', '.join(phrases)}"


def _of_values(name: str, begun: Any, now: Any) -> Iterator[str]:
    if begun != now:
        yield f"{name} was {_short(begun)} and is {_short(now)}"


def _of_section(section: str, begun: Any, now: Any, place: str = "") -> Iterator[str]:
    """How two descriptions of a section differ: in a class, or else in the arguments of the same class."""
    if isinstance(begun, dict) and isinstance(now, dict) and begun.get("_target_") == now.get("_target_"):
        for name in {**begun, **now}:
            yield from _of_section(section, begun.get(name), now.get(name), f"{place}#{name}" if place else name)
    elif isinstance(begun, list) and isinstance(now, list) and _has_parts([*begun, *now]):
        for i, (item, item_now) in enumerate(zip_longest(begun, now)):
            yield from _of_section(section, item, item_now, f"{place}#{i}")
    else:
        yield from _of_values(f"{section}: {place}" if place else section, _class_name(begun), _class_name(now))


def _has_parts(values: Sequence[Any]) -> bool:
    return any(isinstance(value, (dict, list)) for value in values)


def _class_name(described: Any) -> Any:
    """A component shortened to the name of its class."""
    return described.get("_target_", described) if isinstance(described, dict) else described


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# where files lie, and what a machine chooses: told beside the scores, but no other training
_NOT_CLAIMED = ("ckpt_dir", "split", "seed", "precision", "images")


def claim_of(config: ConfigParser) -> dict[str, Any]:
    """What a folder of trainings is claimed for: what their result depends on, but for the seed.

    It is equal for trainings that may stand in one line of a table.

    Args:
        config: of the training.

    Returns:
        Values that JSON can hold: those of the fingerprint without the seed and what a machine chooses, and a digest of
        all images and masks.
    """
    fingerprint: dict[str, Any] = config.get_parsed_content("fingerprint")
    claim = {name: value for name, value in fingerprint.items() if name not in _NOT_CLAIMED}
    return {**claim, "precision": config.get("precision"), "images_digest": _digest(fingerprint["images"])}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def claim_folder(path: Path, claim: Mapping[str, Any]) -> None:
    """Claim a folder for a training before it begins, or check that it was begun as the same.

    Args:
        path: of a JSON file in the folder, which is written if it is not there.
        claim: of the training, from :py:func:`claim_of`.

    Raises:
        InputError: if it was begun as another, and says in what they differ; or by an earlier version of the bundle.
    """
    if path.is_file():
        check_claim(path.parent, read_json(path), claim)
    else:
        write_json(path, claim)


def check_claim(what: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that two trainings are the same.

    Args:
        what: is of the first, for the message.
        begun, now: claims of both.

    Raises:
        InputError: saying in what they differ, or that the first is of an earlier version of the bundle.
    """
    if not is_comparable(begun, now):
        raise InputError(
            f"{what} was begun by an earlier version of the bundle, whose trainings cannot be compared with those of "
            "this one; give another --output_dir, or go on with the version that began it"
        )
    if phrases := differences(begun, now):
        raise InputError(
            f"{what} is of another training ({phrases}); set it as it was, move it away, or give another --output_dir"
        )
