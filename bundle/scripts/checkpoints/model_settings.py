# SPDX-License-Identifier: Apache-2.0

"""The settings of a trained model, in a small JSON file beside its weights: the model is used as it was trained."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import file_digest, load_json, user_path
from .model_folder import MODEL, PREVIOUS, put_pending_model, settings_path
from .model_schema import PUBLISHED, check_settings, missing_fields

__all__ = ["model_digest", "overlays_of", "read_settings", "settings_of", "settings_of_checkpoint"]

_logger = logging.getLogger("qtseg")


def overlays_of(network_name: str) -> list[str]:
    """Return the overlays that a config needs for a network, as paths in ``configs/`` without ``.json``.

    Args:
        network_name: name of the network, as in the settings of a model.
    """
    return [] if network_name == PUBLISHED["network_name"] else [f"networks/{network_name}"]


def read_settings(ckpt_dir: str | os.PathLike, name: str = MODEL) -> dict[str, Any]:
    """Read the settings that a model was trained with. Without a settings file, they are the published ones.

    Evaluation and inference take their defaults from these settings. So the model gets images of the size that it was
    trained on, and is scored on the fold that it has not seen.

    Args:
        ckpt_dir: folder that holds ``model.pt`` and ``model.json``.
        name: name of both files without suffix.

    Returns:
        A dictionary with at least the keys of :py:data:`PUBLISHED`.

    Raises:
        InputError: if the file is not JSON, lacks a key, has a value that is not allowed, or belongs to another model
            than the one beside it.
    """
    path = settings_path(ckpt_dir, name)
    if not path.exists():
        _logger.info(f"no {path}: using the published setting (512 x 512 pixels, 2 classes)")
        return dict(PUBLISHED)
    try:
        settings = load_json(path)
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
    """Add the fields that the settings of an earlier version do not have."""
    completed = {**missing_fields(settings), **settings}
    if "start_is_known" not in settings:
        has_start = any(settings.get(name) is not None for name in ("weights", "encoder_weights"))
        completed["start_is_known"] = "images" in settings and (not has_start or bool(settings.get("seen_before")))
        if settings.get("color_space") == "YCrCb":
            completed |= {"images": {}, "seen_before": [], "start_is_known": False}
            _logger.warning(f"{path} is of a version that knew images by converted colors, so none is on record")
    return completed


def model_digest(path: str | os.PathLike) -> str | None:
    """Return the SHA-256 digest of a model, or None if there is no such file. The caller reports a missing model.

    Args:
        path: file with the weights of the model.
    """
    return file_digest(path) if Path(path).is_file() else None


def settings_of(weights: str | os.PathLike | None) -> Mapping[str, Any]:
    """Return the settings beside a weights file, or :py:data:`PUBLISHED` if the file has none.

    Args:
        weights: the weights file, or None for no weights. Only ``model.pt`` and ``model.previous.pt`` have settings.

    Raises:
        InputError: if the settings are wrong, as in :py:func:`read_settings`.
    """
    if weights is None:
        return PUBLISHED
    path = user_path(weights)
    has_file = _has_settings(path) and path.with_suffix(".json").is_file()
    return read_settings(path.parent, path.stem) if has_file else PUBLISHED


def settings_of_checkpoint(checkpoint: str | os.PathLike, ckpt_dir: str | os.PathLike) -> dict[str, Any]:
    """Return the settings of the checkpoint that an evaluation or an inference uses.

    Args:
        checkpoint: a ``model.pt`` or ``model.previous.pt``, whose settings lie beside it. Or a checkpoint in the folder
            of a training's run, whose settings are those of the model that the training wrote.
        ckpt_dir: folder of the model that the training wrote.

    Raises:
        InputError: if the settings are wrong, as in :py:func:`read_settings`, or if the checkpoint is of neither kind.
    """
    path = user_path(checkpoint)
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
    """Return whether a file has the name of a model, so that its settings lie beside it."""
    return path.suffix == ".pt" and path.stem in (MODEL, PREVIOUS)
