# SPDX-License-Identifier: Apache-2.0

"""Checkpoints of a training: each is written as a whole, the one before it is kept, and damaged files are recognized.

The name of a checkpoint ends in the first digits of the SHA-256 digest of its content, as in torch.hub:
``checkpoint_epoch=12_step=345_3f6c01d2a9e4b7f0.pt``. The digest shows whether the file was truncated or altered.
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
from ..common.partial_files import partial_file

__all__ = ["has_checkpoint", "newest_checkpoint", "write_checkpoint"]

_NAME = re.compile(r"checkpoint_epoch=(\d+)_step=(\d+)_([0-9a-f]{16})\.pt")
_MAX_CHECKPOINTS = 2

_logger = logging.getLogger("qtseg")


def write_checkpoint(folder: str | os.PathLike[str], content: Mapping[str, Any], *, epoch: int, step: int) -> Path:
    """Write a checkpoint. The checkpoint before it stays, and older ones are removed.

    Args:
        folder: folder of the run.
        content: state of the training, with tensors and plain Python values only.
        epoch: number of epochs that are complete.
        step: number of steps that are complete.

    Returns:
        The path of the checkpoint.

    Raises:
        OSError: if the disk is full, or if the folder cannot be written to. Earlier checkpoints then stay as they were.
    """
    folder = Path(folder)
    with partial_file(folder, ".pt") as partial:
        with synced(partial) as file:
            torch.save(dict(content), file)
        path = folder / f"checkpoint_epoch={epoch}_step={step}_{file_digest(partial)[:16]}.pt"
        partial.replace(path)
    # The new checkpoint comes first. The others follow in the order of their writing, the newest first.
    by_age = sorted(_newest_first(folder), key=lambda other: (other != path, -other.stat().st_mtime_ns))
    for old in by_age[_MAX_CHECKPOINTS:]:
        old.unlink(missing_ok=True)
    return path


def newest_checkpoint(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Read the last checkpoint that is undamaged. A warning is logged for each damaged checkpoint after it.

    Args:
        folder: folder of the run.

    Returns:
        The content of the checkpoint, with tensors on the CPU, or None if there is no undamaged checkpoint.
    """
    for path in _newest_first(Path(folder)):
        match = _NAME.fullmatch(path.name)
        assert match is not None  # only such names are listed
        try:
            if file_digest(path).startswith(match[3]):
                content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return content
            problem = "is not as it was written (truncated, or altered)"
        except Exception as error:  # a bad disk or a damaged file can raise any error
            problem = f"cannot be read ({error})"
        _logger.warning(f"{path} {problem}; the checkpoint before it is used, if there is one")
    return None


def has_checkpoint(folder: str | os.PathLike[str]) -> bool:
    """Return whether the folder of a run has a checkpoint, be it damaged or not.

    Args:
        folder: folder of the run.
    """
    return any(True for _ in _newest_first(Path(folder)))


def _newest_first(folder: Path) -> Iterator[Path]:
    matches = {path: match for path in folder.glob("checkpoint_*.pt") if (match := _NAME.fullmatch(path.name))}
    yield from sorted(matches, key=lambda path: (int(matches[path][2]), path.stat().st_mtime_ns), reverse=True)
