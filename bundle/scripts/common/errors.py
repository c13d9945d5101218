# SPDX-License-Identifier: Apache-2.0

"""Errors that users can cure themselves, printed as one sentence instead of a traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

__all__ = ["InputError", "explain_failures", "explanation", "in_one_line"]

_GO_ON = "run the same command again: a training goes on from its last checkpoint"

# Failures that are no fault of the program either. They are recognized by their text, because several libraries may
# have wrapped the first error.
_OF_THE_MACHINE = {
    r"No space left on device|[Dd]isk quota exceeded|database or disk is full": (
        f"a disk is full; make room, and {_GO_ON}"
    ),
    r"DataLoader worker .*(killed by signal|exited unexpectedly)": (
        "a process that fetches images was killed, mostly for want of memory; lower num_workers (or give the container "
        f"more shared memory), and {_GO_ON}"
    ),
    r"Max retries exceeded|Connection aborted|(read|connect)ion timed out|API request to": (
        f"the MLflow server cannot be reached; start it, or give another tracking_uri, and {_GO_ON}"
    ),
}
_OF_ANOTHER_PROCESS = {
    r"Connection (closed|reset) by peer|Broken pipe|NCCL .*remote": (
        f"another process of this job has ended; what it or torchrun says is the cause. Mend that, and {_GO_ON}"
    ),
}

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


class InputError(ValueError):
    """The error for wrong input of the user: a file, a folder or a setting.

    The message is one or two sentences that name the file or setting, its value and the cure. It has no blank line.
    """


def explain_failures() -> None:
    """Let an uncaught ``InputError`` end the program with ``error: <message>`` instead of a traceback.

    MONAI wraps the errors of configs and transforms in its own RuntimeErrors, whose last line says nothing about the
    input. Therefore the whole chain of causes is searched. Any other exception goes to the previous exception hook. The
    exit status stays 1. A second call changes nothing.
    """
    if not isinstance(sys.excepthook, _ExplainingHook):
        sys.excepthook = _ExplainingHook(sys.excepthook)


class _ExplainingHook:
    def __init__(self, previous: Hook) -> None:
        self.previous = previous

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        message = explanation(error)
        if message is not None:
            print(f"error: {message}", file=sys.stderr)
            return
        self.previous(kind, error, trace)


def explanation(error: BaseException) -> str | None:
    """Find the sentence that explains an error to the user.

    The sentence is the message of an ``InputError``, or describes a failure of the machine, such as a full disk. It is
    searched in the whole chain of causes, because MONAI wraps errors in its own.

    Args:
        error: exception that was raised.

    Returns:
        The sentence, or None if the error has no such cause.
    """
    chain = list(_chain(error))
    messages = (message for link in chain if (message := _input_error_in(link)) is not None)
    return next(messages, None) or next(
        (message for link in chain if (message := _machine_failure_in(link)) is not None), None
    )


def in_one_line(error: BaseException) -> str:
    """Return the type and the text of an error, without line breaks.

    Args:
        error: exception that was raised.
    """
    return " ".join(f"{type(error).__name__}: {error}".split())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _machine_failure_in(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = "No space left on device"
    elif isinstance(error, (RuntimeError, OSError)) or type(error).__module__.startswith(("mlflow", "sqlalchemy")):
        text = str(error)
    else:
        return None
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    cures = _OF_THE_MACHINE | _OF_ANOTHER_PROCESS if several else _OF_THE_MACHINE
    cure = next((cure for pattern, cure in cures.items() if re.search(pattern, text)), None)
    return cure and f"{cure} ({in_one_line(error)[:200]})"


def _input_error_in(error: BaseException) -> str | None:
    # A DataLoader worker sends only the text of its traceback. There the message ends at a blank line or at the end.
    name = re.escape(f"{InputError.__module__}.{InputError.__qualname__}")
    match = re.search(rf"^{name}: (.*?)(?:\n\n|\Z)", str(error), re.DOTALL | re.MULTILINE)
    if match is not None:
        return match.group(1).rstrip()
    return str(error) if isinstance(error, InputError) else None
