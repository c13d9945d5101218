# SPDX-License-Identifier: Apache-2.0

"""Reading and writing of files: paths as users type them, text, JSON and tables.

A file is always replaced as a whole: after a crash its old content is there or its new content, never a part.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .errors import InputError

__all__ = [
    "absolute",
    "file_digest",
    "given_json",
    "given_path",
    "given_text",
    "read_json",
    "replacing",
    "synced",
    "write_csv",
    "write_json",
    "write_text",
]

_LONGEST_SUFFIX = 4  # letters with the dot, of a suffix before another


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: of the file.

    Raises:
        InputError: if it cannot be read, or is no JSON object.
    """
    try:
        content = given_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); make it anew") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON object; make it anew")
    return content


@contextmanager
def synced(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file to write, and wait at the end until the disk has it: what follows may rely on it.

    Args:
        path: the file.

    Yields:
        The file.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, and put what was written in the place of a file once it is complete.

    Args:
        path: the file; its folder is made if it is not there.

    Yields:
        A hidden file in the same folder, of the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}{_suffix(path)}")  # shorter than any name that fits
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _suffix(path: Path) -> str:
    """The suffix of a file, with the one before it where that is short, as of compressed files: ``.tar.gz``."""
    before = Path(path.stem).suffix
    return (before if len(before) <= _LONGEST_SUFFIX else "") + path.suffix


def write_text(path: str | os.PathLike[str], text: str, *, errors: str = "backslashreplace") -> None:
    """Write a text file in UTF-8.

    Args:
        path: the file.
        text: its content.
        errors: what becomes of file names that are no UTF-8, as of ``str.encode``. As they are by default, JSON reads
            them back.
    """
    with replacing(path) as partial, synced(partial) as file:
        file.write(text.encode("utf-8", errors))


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a JSON file that people can read, too.

    Args:
        path: the file.
        content: what JSON can hold; NaN is refused, as it is none of JSON.

    Raises:
        ValueError: if a number is NaN or infinite.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table.

    Args:
        path: the file.
        columns: their names, which become the first line.
        rows: a value for each column.
    """
    table = io.StringIO()
    csv.writer(table).writerows([columns, *rows])
    write_text(path, table.getvalue(), errors="surrogateescape")


def given_path(name: object) -> Path:
    """The path that somebody has written, ``~`` for a home folder.

    A name that only begins with ``~`` stays as it is, where ``Path.expanduser`` would raise.

    Args:
        name: as written; the command line turns a folder named 2018 into a number, and MONAI's configs turn ``#`` into
            ``::``, which is turned back where there is such a file or folder, and none of the other name.
    """
    path = os.path.expanduser(str(name))
    written = path.replace("::", "#")
    return Path(written if os.path.exists(written) and not os.path.exists(path) else path)


def given_text(path: str | os.PathLike[str]) -> str:
    """The text of a file, as UTF-8 with or without a mark at its start; line ends as they are.

    Args:
        path: of the file. File names in it that are no UTF-8 come as ``os.fsdecode`` gives them, so that they can be
            opened.

    Raises:
        OSError: if it cannot be opened, or is a pipe or a device, which may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("it is no file")
    return Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")


def given_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file, of any type.

    Args:
        path: of the file.

    Raises:
        OSError: if it cannot be opened, or is no file.
        ValueError: if it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(given_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def absolute(path: str | os.PathLike) -> str:
    """The path as it is remembered."""
    return os.path.abspath(os.path.expanduser(str(path)))
