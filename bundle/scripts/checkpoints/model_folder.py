# SPDX-License-Identifier: Apache-2.0

"""The files in a model's folder: the best model, its settings, and the model before it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from ..common.files import file_digest

__all__ = ["MODEL", "PREVIOUS", "keep_previous_model", "pending_model", "put_pending_model", "settings_path"]

_logger = logging.getLogger("qtseg")


#: Names, without suffix, of the best model with its settings, and of the model before it.
MODEL, PREVIOUS = "model", "model.previous"


def settings_path(ckpt_dir: str | os.PathLike, name: str = MODEL) -> Path:
    """Return the path of the settings file that belongs to a model.

    Args:
        ckpt_dir: folder of the model.
        name: name of the model's file without suffix: :py:data:`MODEL` or :py:data:`PREVIOUS`.
    """
    return Path(ckpt_dir) / f"{name}.json"


def pending_model(ckpt_dir: str | os.PathLike) -> Path:
    """Return the path where a new best model lies until its settings are written.

    Args:
        ckpt_dir: folder of the model.
    """
    return Path(ckpt_dir) / ".model.pending.pt"


def put_pending_model(ckpt_dir: str | os.PathLike, settings: Mapping[str, Any]) -> None:
    """Rename a pending model to ``model.pt`` if the settings in ``model.json`` are those of the pending model.

    This also repairs a folder whose training was cut off after it wrote the settings and before it renamed the model.

    Args:
        ckpt_dir: folder of the model and its settings.
        settings: content of ``model.json``.
    """
    pending = pending_model(ckpt_dir)
    if pending.is_file() and settings.get("sha256") == file_digest(pending):
        with suppress(FileNotFoundError):  # another process has renamed the file meanwhile
            pending.replace(settings_path(ckpt_dir).with_suffix(".pt"))


def keep_previous_model(ckpt_dir: str | os.PathLike) -> None:
    """Copy the present model and its settings before a new training replaces them. Only the first process does.

    Args:
        ckpt_dir: folder of ``model.pt``. The copies are ``model.previous.pt`` and ``model.previous.json``.
    """
    if idist.get_rank() > 0 or not (Path(ckpt_dir) / "model.pt").is_file():
        return
    for suffix in (".pt", ".json"):
        current, previous = (Path(ckpt_dir) / f"{name}{suffix}" for name in (MODEL, PREVIOUS))
        previous.unlink(missing_ok=True)
        if current.is_file():
            shutil.copy2(current, previous)
    _logger.info(f"the model that was there is kept as {Path(ckpt_dir) / PREVIOUS}.pt")
