# SPDX-License-Identifier: Apache-2.0

"""Errors that users can cure themselves, printed as one sentence instead of a traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import synchronize
from types import TracebackType

__all__ = ["InputError", "explain_failures", "explanation", "in_one_line"]

_GO_ON = "run the same command again: a training goes on from its last checkpoint"

# Failures that are no fault of the program either. They are recognized by their text, because several libraries may
# have wrapped the first error. The first pattern that fits counts.
_OF_THE_MACHINE = {
    r"Too many open files": (
        "more files are open than this process may open; raise the limit (ulimit -n), or lower num_workers, and "
        f"{_GO_ON}"
    ),
    r"can't start new thread|[Rr]esource temporarily unavailable": (
        f"no more processes or threads may be started; raise the limit (ulimit -u), or lower num_workers, and {_GO_ON}"
    ),
    r"MemoryError|[Cc]annot allocate memory|can't allocate memory|not enough memory|[Oo]ut of memory|bad_alloc"
    r"|could not create a (primitive|memory)": (
        "the memory is too small; lower batch_size, spatial_size, num_workers or cache_rate, or close other programs, "
        f"and {_GO_ON}"
    ),
    r"out of shared memory|allocate shared memory|/dev/shm|</torch_\d+|torch_shm_manager|SemLock": (
        "the shared memory (/dev/shm) is full, through which processes that fetch images hand them over; give the "
        f"container more shared memory (docker run --shm-size 2g), or set --num_workers 0, and {_GO_ON}"
    ),
    r"No space left on device|[Dd]isk quota exceeded|database or disk is full": (
        f"a disk is full; make room, and {_GO_ON}"
    ),
    r"File too large": f"a file would be larger than this account may write; raise the limit (ulimit -f), and {_GO_ON}",
    r"DataLoader worker .*(killed by signal|exited unexpectedly)": (
        "a process that fetches images was killed, mostly for want of memory; lower num_workers (or give the container "
        f"more shared memory), and {_GO_ON}"
    ),
    r"database is locked": (
        "another program keeps the database of MLflow locked (mlruns.db in output_dir, if you named no other); end "
        f"that program, and {_GO_ON}"
    ),
    r"attempt to write a readonly database|unable to open database file|disk I/O error": (
        "the database of MLflow (mlruns.db in output_dir, if you named no other) cannot be read or written; mend the "
        f"rights and the disk of its folder, and {_GO_ON}"
    ),
    r"database disk image is malformed|file is not a database|no such (table|column)|database schema|locate revision": (
        "the database of MLflow (mlruns.db in output_dir, if you named no other) is damaged, or of another version of "
        f"MLflow; move it away to begin a new one, and {_GO_ON}"
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

# What the operating system says of one file, with its name.
_OF_A_FILE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.EBUSY, errno.ELOOP),
    *(errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),
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
    if isinstance(error, OSError) and error.errno in _OF_A_FILE and error.filename is not None:
        return f"{error.filename} cannot be read or written ({error.strerror}); mend that, and {_GO_ON}"
    libraries = ("mlflow", "sqlalchemy", "sqlite3", "alembic")
    if not isinstance(error, (RuntimeError, OSError, MemoryError)) and not type(error).__module__.startswith(libraries):
        return None
    text = in_one_line(error)
    if any(frame.filename == synchronize.__file__ for frame in traceback.extract_tb(error.__traceback__)):
        text += " SemLock"  # a lock between processes is a file in the shared memory, which the error does not name
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
