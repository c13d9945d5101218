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

"""What a trained model needs to be used as it was trained: a small JSON file beside its weights."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from .cleaning import NO_CLEANING
from .errors import InputError
from .given_files import given_json, given_path
from .settings_check import check_settings

__all__ = [
    "PUBLISHED",
    "absolute",
    "file_digest",
    "keep_previous_model",
    "model_digest",
    "overlays_of",
    "pending_model",
    "put_pending_model",
    "read_settings",
    "settings_of",
    "settings_of_checkpoint",
    "settings_path",
]

_logger = logging.getLogger("qtseg")

# names, without suffix, of a model with its settings, and of the one before it
_MODEL, _PREVIOUS = "model", "model.previous"

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
_ADDED = {name: PUBLISHED[name] for name in ("network_name", "norm", "detail", "refine", "label_fit")}


def overlays_of(network_name: str) -> list[str]:
    """The overlays in ``configs/`` that a config needs for a network, without ``.json``.

    Args:
        network_name: as models remember it.
    """
    return [] if network_name == PUBLISHED["network_name"] else [f"networks/{network_name}"]


def settings_path(ckpt_dir: str | os.PathLike, name: str = _MODEL) -> Path:
    """The settings file that belongs to ``<ckpt_dir>/model.pt``, or to the model of another name."""
    return Path(ckpt_dir) / f"{name}.json"


def pending_model(ckpt_dir: str | os.PathLike) -> Path:
    """Where a new best model lies until its settings are written."""
    return Path(ckpt_dir) / ".model.pending.pt"


def read_settings(ckpt_dir: str | os.PathLike, name: str = _MODEL) -> dict[str, Any]:
    """Settings that the model in ``ckpt_dir`` was trained with; the published ones where there is no settings file.

    Evaluation and inference take their defaults from here, so that a model meets images of the size it was trained on
    and is scored on the fold that it has not seen.

    Args:
        ckpt_dir: folder that holds ``model.pt`` and ``model.json``.
        name: of both files, where it is another.

    Returns:
        A dictionary with at least the keys of :py:data:`PUBLISHED`.

    Raises:
        InputError: if the file is not JSON, lacks a key, has a value that is none, or belongs to another ``model.pt``
            than the one beside it.
    """
    path = settings_path(ckpt_dir, name)
    if not path.is_file():
        _logger.info(f"no {path}: using the published setting (512 x 512 pixels, 2 classes)")
        return dict(PUBLISHED)
    try:
        settings = given_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); delete it to use the published setting") from error
    if isinstance(settings, dict):
        settings = _completed(settings, path)
    missing = sorted(set(PUBLISHED) - set(settings)) if isinstance(settings, dict) else sorted(PUBLISHED)
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; delete it to use the published setting, or train again")
    check_settings(settings, path)
    model = path.with_suffix(".pt")
    if name == _MODEL:
        put_pending_model(ckpt_dir, settings)
    if model.is_file() and settings.get("sha256") != file_digest(model):
        raise InputError(
            f"{path} was written for another model than {model}; delete it if that has the published setting "
            "(512 x 512 pixels, 2 classes), else put back the file that belongs to it"
        )
    return settings


def _completed(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Settings of any version, with what those of earlier ones do not have."""
    completed = {**_ADDED, **settings}
    if "start_is_known" not in settings:
        started = (settings.get(name) is not None for name in ("weights", "encoder_weights"))
        completed["start_is_known"] = not any(started) or bool(settings.get("seen_before"))
        if settings.get("color_space") == "YCrCb":
            completed |= {"images": {}, "seen_before": [], "start_is_known": False}
            _logger.warning(f"{path} is of a version that knew images by converted colors, so none is on record")
    return completed


def put_pending_model(ckpt_dir: str | os.PathLike, settings: Mapping[str, Any]) -> None:
    """Put a model in its place whose settings are there already: a training was cut off between the two.

    Args:
        ckpt_dir: folder of both.
        settings: of its ``model.json``.
    """
    pending = pending_model(ckpt_dir)
    if pending.is_file() and settings.get("sha256") == file_digest(pending):
        with suppress(FileNotFoundError):  # another process has done it meanwhile
            pending.replace(settings_path(ckpt_dir).with_suffix(".pt"))


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def model_digest(path: str | os.PathLike) -> str | None:
    """SHA-256 of a model; None where there is none, which is for those to say who need it.

    Args:
        path: of its weights.
    """
    return file_digest(path) if Path(path).is_file() else None


def absolute(path: str | os.PathLike) -> str:
    """The path as it is remembered."""
    return os.path.abspath(os.path.expanduser(str(path)))


def settings_of(weights: str | os.PathLike | None) -> Mapping[str, Any]:
    """The settings beside a file of weights; those of a new model where there are none.

    Args:
        weights: the file; None for no weights. Only ``model.pt`` and ``model.previous.pt`` have settings.

    Raises:
        InputError: as :py:func:`read_settings` does.
    """
    if weights is None:
        return PUBLISHED
    path = given_path(weights)
    kept = _has_settings(path) and path.with_suffix(".json").is_file()
    return read_settings(path.parent, path.stem) if kept else PUBLISHED


def settings_of_checkpoint(checkpoint: str | os.PathLike, ckpt_dir: str | os.PathLike) -> dict[str, Any]:
    """The settings of what is evaluated, or makes masks.

    Args:
        checkpoint: a ``model.pt`` or ``model.previous.pt``, whose settings lie beside it, or what the run of a training
            has saved, which has those of the model that the training wrote.
        ckpt_dir: folder of that model.

    Raises:
        InputError: as :py:func:`read_settings` does, or if the checkpoint is of neither kind.
    """
    path = given_path(checkpoint)
    if _has_settings(path):
        return read_settings(path.parent, path.stem)
    settings = read_settings(ckpt_dir)
    if path.absolute().parent.name != settings.get("run"):
        model = settings_path(ckpt_dir).with_suffix(".pt")
        raise InputError(
            f"{path} has no settings (size, classes, what it was trained on): it is no {model.name}, and not of the "
            f"training that wrote {model}; name the folder of its training's model by --ckpt_dir, or copy the file to "
            f"a folder of its own as {model.name}"
        )
    return settings


def _has_settings(path: Path) -> bool:
    """Whether a file has a name that settings are kept for."""
    return path.suffix == ".pt" and path.stem in (_MODEL, _PREVIOUS)


def keep_previous_model(ckpt_dir: str | os.PathLike) -> None:
    """Copy the model that is there, and its settings, before a new training replaces them.

    Args:
        ckpt_dir: folder of ``model.pt``; the copies are ``model.previous.pt`` and ``model.previous.json``.
    """
    if idist.get_rank() > 0 or not (Path(ckpt_dir) / "model.pt").is_file():
        return
    for suffix in (".pt", ".json"):
        current, previous = (Path(ckpt_dir) / f"{name}{suffix}" for name in (_MODEL, _PREVIOUS))
        previous.unlink(missing_ok=True)
        if current.is_file():
            shutil.copy2(current, previous)
    _logger.info(f"the model that was there is kept as {Path(ckpt_dir) / _PREVIOUS}.pt")
