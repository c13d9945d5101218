# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import synchronize
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

import scripts
from scripts.common.errors import InputError, explain_failures

MESSAGE = "cat.png has 3 pages; save each one"


@pytest.fixture(autouse=True)
def _hook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def report(error: BaseException) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


def raised(cause: BaseException | None, context: BaseException | None = None) -> BaseException:
    error = RuntimeError("Failed to evaluate ConfigExpression")
    error.__cause__, error.__context__ = cause, context
    return error


def worker_text(kind: str) -> str:
    """What torch sends from a DataLoader worker in place of the exception."""
    trace = 'Original Traceback (most recent call last):\n  File "reader.py", line 1, in read'
    wrapped = "\n\nThe above exception was the direct cause of the following exception:\n\nRuntimeError: applying"
    error = f"scripts.common.errors.InputError: {MESSAGE}{wrapped}"
    return f"Caught {kind} in DataLoader worker process 0.\n{trace}\n{error}"


@pytest.mark.parametrize(
    "error",
    [
        InputError(MESSAGE),
        raised(InputError(MESSAGE)),
        raised(raised(InputError(MESSAGE))),
        raised(None, InputError(MESSAGE)),
        RuntimeError(worker_text("RuntimeError")),
        InputError(worker_text("InputError")),
        raised(RuntimeError(worker_text("RuntimeError").partition("\n\n")[0])),
    ],
    ids=["itself", "cause", "cause of cause", "context", "worker", "worker, unwrapped", "worker, wrapped"],
)
def test_only_the_message_is_shown(error, capsys):
    explain_failures()
    report(error)
    assert capsys.readouterr() == ("", f"error: {MESSAGE}\n")


def test_lines_of_a_message_are_kept(capsys):
    explain_failures()
    report(raised(InputError("no images; expected is\n  images/\n  masks/")))
    assert capsys.readouterr().err == "error: no images; expected is\n  images/\n  masks/\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), raised(KeyError("a bug")), KeyboardInterrupt()])
def test_other_exceptions_go_to_the_previous_hook(error, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: seen.append(args))
    explain_failures()
    report(error)
    assert seen == [(type(error), error, None)]
    assert capsys.readouterr().err == ""


def test_a_loop_of_contexts_ends(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: seen.append(args))
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    explain_failures()
    report(first)
    assert len(seen) == 1


def test_a_second_call_changes_nothing():
    explain_failures()
    hook = sys.excepthook
    explain_failures()
    assert sys.excepthook is hook


def test_the_program_fails_with_status_1():
    program = "from scripts.common.errors import *; explain_failures(); raise KeyError from InputError('no such file')"
    environment = os.environ | {"PYTHONPATH": str(Path(scripts.__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (1, "error: no such file\n")


@pytest.mark.parametrize(
    "error, cure",
    [
        (OSError(28, "No space left on device"), "a disk is full; make room"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "a disk is full; make room"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"), "another process"),
        (MlflowException("API request to http://127.0.0.1:9/x failed: Connection reset by peer"), "the MLflow server"),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "lower num_workers"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
                      "workers are out of shared memory."), "the shared memory (/dev/shm) is full"),
        (RuntimeError("unable to write to file </torch_12_3_0>: No space left on device (28)"), "the shared memory"),
        (RuntimeError("unable to allocate shared memory(shm) for file </torch_12_3_0>: Success (0)"), "docker run"),
        (OSError(28, "No space left on device", "/dev/shm/a"), "the shared memory (/dev/shm) is full"),
        (RuntimeError("unable to open shared memory object </torch_12_3_0>: Too many open files (24)"), "ulimit -n"),
        (OSError(27, "File too large"), "ulimit -f"),
        (OSError(24, "Too many open files", "/a/b.png"), "ulimit -n"),
        (OSError(11, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (OSError(12, "Cannot allocate memory"), "the memory is too small; lower batch_size"),
        (MemoryError("Unable to allocate 4.00 GiB for an array"), "the memory is too small"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "the memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), "the memory"),
        (MlflowException("(sqlite3.OperationalError) database is locked"), "another program keeps the database"),
        (MlflowException("(sqlite3.DatabaseError) database disk image is malformed"), "is damaged"),
        (OSError(13, "Permission denied", "/a/b.png"), "/a/b.png cannot be read or written (Permission denied)"),
        (OSError(21, "Is a directory", "/a/b.png"), "/a/b.png cannot be read or written (Is a directory)"),
    ],
)
def test_what_the_machine_failed_at_is_told_with_its_cure(error, cure, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    explain_failures()
    report(raised(error))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and cure in line
    assert str(error)[:150] in line or error.strerror in line
    assert ("a disk is full" in line) == ("a disk" in cure)


def test_a_full_shared_memory_is_no_full_disk_where_no_file_is_named(monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synchronize._multiprocessing, "SemLock", full)
    explain_failures()
    with pytest.raises(OSError) as raised_error:
        multiprocessing.Lock()
    report(raised(raised_error.value))
    assert "error: the shared memory (/dev/shm) is full" in capsys.readouterr().err


def test_what_a_file_says_is_no_failing_of_the_machine(capsys):
    explain_failures()
    report(raised(KeyError("Broken pipe")))
    report(raised(RuntimeError("Connection reset by peer")))  # there is only one process
    report(raised(ValueError("out of memory")))
    report(raised(RuntimeError("out of resource: shared memory, Required: 147456")))  # of a kernel on a GPU
    report(raised(FileNotFoundError(2, "No such file or directory", "a")))
    assert "error: " not in capsys.readouterr().err
