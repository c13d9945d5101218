# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import subprocess
import sys
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
    ],
)
def test_what_the_machine_failed_at_is_told_with_its_cure(error, cure, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    explain_failures()
    report(raised(error))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and cure in line and str(error) in line


def test_what_a_file_says_is_no_failing_of_the_machine(capsys):
    explain_failures()
    report(raised(KeyError("Broken pipe")))
    report(raised(RuntimeError("Connection reset by peer")))  # there is only one process
    assert "error: " not in capsys.readouterr().err
