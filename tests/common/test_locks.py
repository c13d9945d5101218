# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.common.errors import InputError
from scripts.common.locks import lock_folder
from workflows import BUNDLE


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen]:
    """Another process that has locked a folder; it ends at the latest with the block."""
    code = (
        "from pathlib import Path\n"
        "from scripts.common.locks import lock_folder\n"
        f"lock_folder(Path({str(folder)!r}), 'in use')\n"
        "print('locked', flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=BUNDLE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "new" / "runs"
    with holder(folder) as process:
        with pytest.raises(InputError, match="^runs is in use; wait for it$"):
            lock_folder(folder, "runs is in use; wait for it")
        process.kill()
        process.wait()
        os.close(lock_folder(folder, "runs is in use"))


def test_a_lock_ends_where_its_file_is_closed(tmp_path):
    lock = lock_folder(tmp_path, "in use")
    assert os.path.samestat(os.fstat(lock), (tmp_path / ".lock").stat())
    with pytest.raises(InputError, match="in use"):
        lock_folder(tmp_path, "in use")  # nor may the same process have it twice
    os.close(lock)
    os.close(lock_folder(tmp_path, "in use"))


def test_two_folders_are_locked_apart(tmp_path):
    locks = [lock_folder(tmp_path / name, "in use") for name in "ab"]
    for lock in locks:
        os.close(lock)


def test_where_nothing_can_be_locked_the_log_says_so(tmp_path, monkeypatch, caplog):
    def unsupported(lock: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with caplog.at_level("INFO", logger="qtseg"):
        os.close(lock_folder(tmp_path, "in use"))
    assert f"{tmp_path} cannot be locked; let no other command write into it" in caplog.text
