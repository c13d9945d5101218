# SPDX-License-Identifier: Apache-2.0

"""Checks, before the first epoch, that a run can write what it will write."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ignite.distributed as idist
from torch import nn

from .errors import InputError

__all__ = ["check_space", "check_writable"]

_CHECKPOINTS = 3  # two that are kept, and the one that is being written, each with two moments of every weight
_REST = 2**26  # bytes for tables, pictures and MLflow


def check_space(network: nn.Module, **folders: str) -> None:
    """Check that a training can write what it will write. Only the first process does.

    Args:
        network: to be trained with an optimizer of two moments a weight.
        folders: names of the knobs, and the folders; of one that is missing, the folder that it will be made in counts.

    Raises:
        InputError: if a folder cannot be written to, or its disk has too little space.
    """
    check_writable(**folders)
    if idist.get_rank() > 0:
        return
    weights = sum(each.nbytes for each in network.state_dict().values())
    needed = weights * (3 * _CHECKPOINTS + 2) + _REST
    for knob, folder in folders.items():
        free = shutil.disk_usage(_existing(folder)).free
        if free < needed:
            raise InputError(
                f"{knob} {folder} has {free / 2**20:.0f} MiB free, and a training needs {needed / 2**20:.0f}; make "
                "room, or give another"
            )


def check_writable(**folders: str) -> None:
    """Check that files can be written into folders. Only the first process does.

    Args:
        folders: names of the knobs, and the folders; of one that is missing, the folder that it will be made in counts.

    Raises:
        InputError: if one cannot be written to.
    """
    if idist.get_rank() > 0:
        return
    for knob, folder in folders.items():
        try:
            with tempfile.TemporaryFile(dir=_existing(folder)):
                pass
        except OSError as error:
            raise InputError(f"{knob} {folder} cannot be written to ({error.strerror}); give another") from error


def _existing(folder: str) -> Path:
    """The folder, or the one that it will be made in."""
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    return there
