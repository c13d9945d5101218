# SPDX-License-Identifier: Apache-2.0

"""Locks that keep a folder for one process, so that two commands never write into the same place."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from .errors import InputError

__all__ = ["lock_folder"]

_logger = logging.getLogger("qtseg")


def lock_folder(folder: Path, in_use: str) -> int:
    """Lock a folder for this process until the returned file is closed or the process ends.

    A file system without locks is reported in the log; there the user must keep two commands apart.

    Args:
        folder: folder to lock; it is created if it does not exist.
        in_use: message for the case that another process holds the lock.

    Returns:
        The descriptor of the open file ``.lock`` in the folder, which holds the lock.

    Raises:
        InputError: with ``in_use`` as its message, if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)  # NFS only locks files that are open for writing
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise InputError(in_use) from error
    except OSError:
        _logger.info(f"{folder} cannot be locked; let no other command write into it")
    return lock
