# SPDX-License-Identifier: Apache-2.0

"""Checkpoints of trainings that survive: written whole, the one before kept, damage noticed.

A checkpoint's name ends in the first digits of its content's SHA-256, as names of torch.hub's files do:
``checkpoint_epoch=12_step=345_3f6c01d2a9e4b7f0.pt``. A file that was truncated or altered is known by that.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..common.files import file_digest, synced

__all__ = ["has_checkpoint", "newest_checkpoint", "write_checkpoint"]

_NAME = re.compile(r"checkpoint_epoch=(\d+)_step=(\d+)_([0-9a-f]{16})\.pt")
_KEPT = 2

_logger = logging.getLogger("qtseg")


def write_checkpoint(folder: str | os.PathLike[str], content: Mapping[str, Any], *, epoch: int, step: int) -> Path:
    """Write a checkpoint; the one before it stays, older ones are removed.

    Args:
        folder: of the run.
        content: tensors and plain Python values only.
        epoch: number of epochs that are complete.
        step: number of steps that are done.

    Returns:
        Its path.

    Raises:
        OSError: if there is no space, or the folder cannot be written to; the checkpoints before are as they were.
    """
    folder = Path(folder)
    partial = folder / f".{os.getpid()}.pt"
    try:
        with synced(partial) as file:
            torch.save(dict(content), file)
        path = folder / f"checkpoint_epoch={epoch}_step={step}_{file_digest(partial)[:16]}.pt"
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    others = sorted(_newest_first(folder), key=lambda each: (each != path, -each.stat().st_mtime_ns))  # as written
    for old in others[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def newest_checkpoint(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Read the last checkpoint that is as it was written; of others a warning tells.

    Args:
        folder: of the run.

    Returns:
        Its content, tensors on the CPU; None if there is none.
    """
    for path in _newest_first(Path(folder)):
        match = _NAME.fullmatch(path.name)
        assert match is not None  # as it was listed
        try:
            if file_digest(path).startswith(match[3]):
                content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return content
            problem = "is not as it was written (truncated, or altered)"
        except Exception as error:  # whatever the disk or the decoder says of it
            problem = f"cannot be read ({error})"
        _logger.warning(f"{path} {problem}; the checkpoint before it is used, if there is one")
    return None


def has_checkpoint(folder: str | os.PathLike[str]) -> bool:
    """Whether there is one in the folder of a run, damaged ones counted."""
    return any(True for _ in _newest_first(Path(folder)))


def _newest_first(folder: Path) -> Iterator[Path]:
    found = {path: match for path in folder.glob("checkpoint_*.pt") if (match := _NAME.fullmatch(path.name))}
    yield from sorted(found, key=lambda path: (int(found[path][2]), path.stat().st_mtime_ns), reverse=True)
