# SPDX-License-Identifier: Apache-2.0

"""What a trained model needs to be used as it was trained: a small JSON file beside its weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import file_digest, given_json, given_path
from .model_folder import MODEL, PREVIOUS, put_pending_model, settings_path
from .model_schema import PUBLISHED, check_settings, missing_fields

__all__ = ["model_digest", "overlays_of", "read_settings", "settings_of", "settings_of_checkpoint"]

_logger = logging.getLogger("qtseg")


def overlays_of(network_name: str) -> list[str]:
    """The overlays in ``configs/`` that a config needs for a network, without ``.json``.

    Args:
        network_name: as models remember it.
    """
    return [] if network_name == PUBLISHED["network_name"] else [f"networks/{network_name}"]


def read_settings(ckpt_dir: str | os.PathLike, name: str = MODEL) -> dict[str, Any]:
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
    if name == MODEL:
        put_pending_model(ckpt_dir, settings)
    if model.is_file() and settings.get("sha256") != file_digest(model):
        raise InputError(
            f"{path} was written for another model than {model}; delete it if that has the published setting "
            "(512 x 512 pixels, 2 classes), else put back the file that belongs to it"
        )
    return settings


def _completed(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Settings of any version, with what those of earlier ones do not have."""
    completed = {**missing_fields(settings), **settings}
    if "start_is_known" not in settings:
        started = (settings.get(name) is not None for name in ("weights", "encoder_weights"))
        completed["start_is_known"] = "images" in settings and (not any(started) or bool(settings.get("seen_before")))
        if settings.get("color_space") == "YCrCb":
            completed |= {"images": {}, "seen_before": [], "start_is_known": False}
            _logger.warning(f"{path} is of a version that knew images by converted colors, so none is on record")
    return completed


def model_digest(path: str | os.PathLike) -> str | None:
    """SHA-256 of a model; None where there is none, which is for those to say who need it.

    Args:
        path: of its weights.
    """
    return file_digest(path) if Path(path).is_file() else None


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
    return path.suffix == ".pt" and path.stem in (MODEL, PREVIOUS)
