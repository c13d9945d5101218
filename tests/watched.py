# SPDX-License-Identifier: Apache-2.0

"""Run a module as ``python -m`` does, and note every path that Python code writes and every address it connects to.

``python watched.py LOG MODULE ARGUMENTS``. Processes that it forks are watched, too.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2}
CHANGES |= {"os.truncate": 1, "os.chmod": 1, "os.utime": 1, "shutil.rmtree": 1}
IN_FOLDER = {"os.remove", "os.rmdir"}  # whose last argument is a folder that the path starts from, or -1


def watch(log: str) -> None:
    """Append to a file, from now on, a line ``write PATH`` or ``connect ADDRESS`` for each."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(kind: str, what: Any) -> None:
        os.write(descriptor, f"{kind} {what!r}\n".encode("utf-8", "backslashreplace"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes)) and flags & WRITING:
                note("write", os.path.abspath(os.fsdecode(path)))
        elif event in CHANGES:
            start = f"/proc/self/fd/{arguments[-1]}" if event in IN_FOLDER and arguments[-1] != -1 else "."
            for path in arguments[: CHANGES[event]]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    note("write", os.path.abspath(os.path.join(os.path.realpath(start), os.fsdecode(path))))
        elif event == "sqlite3.connect" and arguments[0] != ":memory:":
            note("write", os.path.abspath(os.fsdecode(arguments[0])))
        elif event == "socket.connect":
            note("connect", arguments[1])

    sys.addaudithook(hook)


if __name__ == "__main__":
    log, module, *words = sys.argv[1:]
    sys.argv = [module, *words]
    sys.path[0] = os.getcwd()  # as of python -m
    watch(log)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
