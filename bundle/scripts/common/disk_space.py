# SPDX-License-Identifier: Apache-2.0

"""Checks before the first epoch that a run can write all its files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ignite.distributed as idist
from torch import nn

from .errors import InputError

__all__ = ["check_space", "check_writable"]

# Two checkpoints stay on the disk while a third is being written. Each holds two moments of every weight.
_CHECKPOINTS = 3
_REST = 2**26  # bytes for tables, pictures and MLflow


def check_space(network: nn.Module, **folders: str) -> None:
    """Check that the disks have room for all files of a training. Only the first process checks.

    Args:
        network: network to train, with an optimizer that holds two moments for each weight.
        folders: folders of the training, by the names of their knobs. If a folder does not exist yet, the check is
            made on the folder in which it will be created.

    Raises:
        InputError: if a folder cannot be written to, or if its disk has too little space.
    """
    check_writable(**folders)
    if idist.get_rank() > 0:
        return
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    needed = weights * (3 * _CHECKPOINTS + 2) + _REST
    for knob, folder in folders.items():
        free = shutil.disk_usage(_existing(folder)).free
        if free < needed:
            raise InputError(
                f"{knob} {folder} has {free / 2**20:.0f} MiB free, and a training needs {needed / 2**20:.0f}; make "
                "room, or give another"
            )


def check_writable(**folders: str) -> None:
    """Check that files can be written into folders. Only the first process checks.

    Args:
        folders: folders by the names of their knobs. If a folder does not exist yet, the check is made on the folder
            in which it will be created.

    Raises:
        InputError: if a folder cannot be written to.
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
    """Return the folder if it exists, else the nearest folder above it that exists."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return path
