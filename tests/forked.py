# SPDX-License-Identifier: Apache-2.0

"""``python -m monai.bundle`` in a process that is forked from the tests, which saves the seconds of its imports.

A command that runs in several processes, or with other code than the tests', needs :py:func:`workflows.run_command`.
"""

from __future__ import annotations

import logging
import os
import runpy
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path


class Forked:
    """A command that runs meanwhile, in a group of its own, as far as tests need :py:class:`subprocess.Popen`.

    Args:
        words: of the command.
        cwd: its working folder, if not that of the tests.
        errors: file for what it prints to stderr; if None, it goes where stdout goes.
    """

    def __init__(self, words: list[str], cwd: Path | None = None, errors: Path | None = None) -> None:
        reading, writing = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_run(words, writing, cwd, errors))
        os.close(writing)
        self.stdout = os.fdopen(reading, errors="replace")

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self) -> tuple[str, None]:
        with self.stdout:
            told = self.stdout.read()
        while self.poll() is None:
            time.sleep(0.001)
        return told, None


def run_forked(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run the command to its end."""
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "stderr"
        process = Forked(list(words), cwd, errors)
        told, _ = process.communicate()
        return subprocess.CompletedProcess(words, process.poll() or 0, told, errors.read_text(errors="replace"))


def _run(words: list[str], output: int, cwd: Path | None, errors: Path | None) -> int:
    """``python -m monai.bundle`` in this process; returns its status."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output if errors is None else os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))
    sys.argv = ["monai.bundle", *words]
    sys.excepthook = sys.__excepthook__
    warnings.resetwarnings()
    logging.getLogger().handlers.clear()
    if cwd is not None:
        os.chdir(cwd)
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
