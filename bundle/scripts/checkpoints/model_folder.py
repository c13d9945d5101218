# SPDX-License-Identifier: Apache-2.0

"""Which files a model's folder holds: the best model, its settings, and the model before it."""

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
    """The settings file that belongs to ``<ckpt_dir>/model.pt``, or to the model of another name."""
    return Path(ckpt_dir) / f"{name}.json"


def pending_model(ckpt_dir: str | os.PathLike) -> Path:
    """Where a new best model lies until its settings are written."""
    return Path(ckpt_dir) / ".model.pending.pt"


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


def keep_previous_model(ckpt_dir: str | os.PathLike) -> None:
    """Copy the model that is there, and its settings, before a new training replaces them.

    Args:
        ckpt_dir: folder of ``model.pt``; the copies are ``model.previous.pt`` and ``model.previous.json``.
    """
    if idist.get_rank() > 0 or not (Path(ckpt_dir) / "model.pt").is_file():
        return
    for suffix in (".pt", ".json"):
        current, previous = (Path(ckpt_dir) / f"{name}{suffix}" for name in (MODEL, PREVIOUS))
        previous.unlink(missing_ok=True)
        if current.is_file():
            shutil.copy2(current, previous)
    _logger.info(f"the model that was there is kept as {Path(ckpt_dir) / PREVIOUS}.pt")
