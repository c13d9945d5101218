# SPDX-License-Identifier: Apache-2.0

"""Files that are being written, under a hidden name of their own until they are complete.

A process that is killed leaves such a file behind. The next process that writes into the folder removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["partial_file"]

_NAME = re.compile(r"\.qtseg-[0-9a-f]{12}(\..*)?")
_cleared: set[str] = set()  # folders from which this process has removed files that others left behind


@contextmanager
def partial_file(folder: str | os.PathLike[str], suffix: str = "") -> Iterator[Path]:
    """Make a new hidden file to write to, which no other process uses. It is removed at the end, if it is still there.

    The file is locked meanwhile. So another process, also one in another container, sees that it is in use.

    Args:
        folder: folder of the file, created if it does not exist. The first time that this process writes into it, the
            files that killed processes have left there are removed.
        suffix: end of the file's name.

    Yields:
        The path of the file. Its name is short, so that it fits wherever the name of another file fits.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    path = folder / f".qtseg-{secrets.token_hex(6)}{suffix}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # NFS only locks files open for writing
    try:
        with suppress(OSError):  # a file system without locks, where no process takes the file for abandoned
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Remove the partial files that no process holds."""
    key = os.path.realpath(folder)
    if key in _cleared:
        return
    _cleared.add(key)
    for path in [Path(entry.path) for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)]:
        with suppress(OSError):  # it is in use, or belongs to another user, or has just gone
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
