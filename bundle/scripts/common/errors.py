# SPDX-License-Identifier: Apache-2.0

"""Errors that users can cure themselves, told in one sentence instead of a traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

__all__ = ["InputError", "explain_failures", "explanation", "in_one_line"]

_GO_ON = "run the same command again: a training goes on from its last checkpoint"

# What is no fault of the program either, by its text, however many libraries have wrapped it since.
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
    """What the user gave is wrong: a file, a folder or a setting.

    The message is one or two sentences that name the file, the value found and the cure, with no blank line in it.
    """


def explain_failures() -> None:
    """Let an uncaught ``InputError`` end the program with ``error: <message>`` instead of a traceback.

    MONAI wraps what a config or a transform raises in RuntimeErrors of its own, whose last line says nothing about the
    input; the whole chain of causes is therefore searched. Any other exception goes to the hook that was there before.
    The exit status stays 1. A second call changes nothing.
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
    """The sentence of the InputError that an error came from, or of a machine's failing; MONAI raises others around it.

    Args:
        error: what was raised.

    Returns:
        The sentence; None if it came from neither.
    """
    chain = list(_chain(error))
    told = (message for link in chain if (message := _input_error_in(link)) is not None)
    return next(told, None) or next((message for link in chain if (message := _failing_of(link)) is not None), None)


def in_one_line(error: BaseException) -> str:
    """Type and text of an error, without line breaks.

    Args:
        error: what was raised.
    """
    return " ".join(f"{type(error).__name__}: {error}".split())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _failing_of(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = "No space left on device"
    elif isinstance(error, (RuntimeError, OSError)) or type(error).__module__.startswith(("mlflow", "sqlalchemy")):
        text = str(error)
    else:
        return None
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    known = _OF_THE_MACHINE | _OF_ANOTHER_PROCESS if several else _OF_THE_MACHINE
    cure = next((cure for pattern, cure in known.items() if re.search(pattern, text)), None)
    return cure and f"{cure} ({in_one_line(error)[:200]})"


def _input_error_in(error: BaseException) -> str | None:
    # A DataLoader worker sends only the text of its traceback, in which a blank line or the end follows the message.
    name = re.escape(f"{InputError.__module__}.{InputError.__qualname__}")
    sent = re.search(rf"^{name}: (.*?)(?:\n\n|\Z)", str(error), re.DOTALL | re.MULTILINE)
    if sent is not None:
        return sent.group(1).rstrip()
    return str(error) if isinstance(error, InputError) else None
