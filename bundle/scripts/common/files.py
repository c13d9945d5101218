# SPDX-License-Identifier: Apache-2.0

"""Reading and writing of files: paths as users type them, text, JSON and tables.

A file is always replaced as a whole. After a crash it has either its old or its new content, never a part of it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .errors import InputError
from .partial_files import partial_file

__all__ = [
    "absolute",
    "file_digest",
    "load_json",
    "load_text",
    "read_csv",
    "read_json",
    "replacing",
    "synced",
    "user_path",
    "write_csv",
    "write_json",
    "write_text",
]

_LONGEST_SUFFIX = 4  # characters, with the dot, of a suffix such as .tar that stands before another


def read_json(
    path: str | os.PathLike[str], *, cure: str = "make it anew", schema: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: path of the file.
        cure: what to do if the file is wrong, for the message.
        schema: JSON schema of the parts of the object that are read. A file that was cut off, or changed by hand, is
            then refused here, and needs no check elsewhere.

    Raises:
        InputError: if the file cannot be read, if its content is no JSON object, or if it has not the form of the
            schema.
    """
    try:
        content = load_json(path)
        json.dumps(content, allow_nan=False)  # a number that is not finite, such as 1e999, is no JSON
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); {cure}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON object; {cure}")
    if schema is not None and (problem := _problem(content, schema)):
        raise InputError(f"{path} is not as it was written: {problem}; {cure}")
    return content


def _problem(content: Any, schema: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the content of a JSON file, or None if it has the form of the schema."""
    from jsonschema import Draft202012Validator  # it takes a tenth of a second to import
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(content))
    if error is None or error.validator == "required":
        return error and f"at {error.json_path}, {error.message}"
    return f"{error.json_path} is {reprlib.repr(error.instance)}, which its {error.validator} does not allow"


def read_csv(path: str | os.PathLike[str], *, cure: str = "make it anew") -> list[dict[str, str]]:
    """Read a table from a CSV file.

    Args:
        path: path of the file.
        cure: what to do if the file is wrong, for the message.

    Returns:
        The rows, each with the text of a cell by the name of its column. A cell that a short row lacks is empty.

    Raises:
        InputError: if the file cannot be read, or if a row has more cells than there are columns.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(load_text(path), newline=""), restval=""))
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); {cure}") from error
    if any(None in row for row in rows):
        raise InputError(f"{path} has a row with more cells than there are columns; {cure}")
    return rows


@contextmanager
def synced(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file to write, and wait at the end until its content is on the disk.

    Later steps can therefore rely on the file, even after a crash of the machine.

    Args:
        path: path of the file. Its folder is created if it does not exist.

    Yields:
        The open file.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Replace a file by a new one once the new one is complete.

    Args:
        path: path of the file. Its folder is created if it does not exist.

    Yields:
        The path to write to: a hidden file in the same folder, with the same suffix.
    """
    path = Path(path)
    with partial_file(path.parent, _suffix(path)) as partial:
        yield partial
        partial.replace(path)


def _suffix(path: Path) -> str:
    """Return the suffix of a file, together with a short suffix before it, as in ``.tar.gz``."""
    before = Path(path.stem).suffix
    return (before if len(before) <= _LONGEST_SUFFIX else "") + path.suffix


def write_text(path: str | os.PathLike[str], text: str, *, errors: str = "backslashreplace") -> None:
    """Write a text file in UTF-8.

    Args:
        path: path of the file.
        text: content of the file.
        errors: how characters of file names that are no UTF-8 are written, as in ``str.encode``. JSON reads the
            default back.
    """
    with replacing(path) as partial, synced(partial) as file:
        file.write(text.encode("utf-8", errors))


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a JSON file with line breaks and indentation, so that people can read it.

    Args:
        path: path of the file.
        content: values of types that JSON can hold. NaN and infinity are not part of JSON.

    Raises:
        ValueError: if a number is NaN or infinite.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as a CSV file.

    Args:
        path: path of the file.
        columns: names of the columns, which become the first line.
        rows: rows of the table, each with one value for each column.
    """
    table = io.StringIO()
    csv.writer(table).writerows([columns, *rows])
    write_text(path, table.getvalue(), errors="surrogateescape")


def user_path(name: object) -> Path:
    """Return the path that a user has typed. A ``~`` at its start stands for the home folder.

    A file name that only begins with ``~`` stays as it is, while ``Path.expanduser`` would raise an error.

    Args:
        name: path as the user typed it. It may be a number, because the command line turns a folder named 2018 into
            one. MONAI's configs turn ``#`` into ``::``. This is turned back if a file or folder with ``#`` exists and
            none with ``::`` does.
    """
    path = os.path.expanduser(str(name))
    written = path.replace("::", "#")
    return Path(written if os.path.exists(written) and not os.path.exists(path) else path)


def load_text(path: str | os.PathLike[str]) -> str:
    """Read a text file in UTF-8, with or without a byte order mark at its start. Line ends stay as they are.

    Args:
        path: path of the file. Bytes in it that are no UTF-8 are decoded as ``os.fsdecode`` does, so that file names
            in the text can be opened.

    Raises:
        OSError: if the file cannot be opened, or if it is a pipe or a device, which may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("it is no file")
    return Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")


def load_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file with content of any type.

    Args:
        path: path of the file.

    Raises:
        OSError: if the file cannot be opened, or if it is no regular file.
        ValueError: if the content is no JSON, or if it is nested too deeply.
    """
    try:
        return json.loads(load_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def file_digest(path: str | os.PathLike) -> str:
    """Return the SHA-256 digest of the content of a file, as 64 hexadecimal digits.

    Args:
        path: path of the file.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def absolute(path: str | os.PathLike) -> str:
    """Return a path in the form that settings and records store: absolute, with the home folder in place of ``~``.

    Args:
        path: absolute or relative path.
    """
    return os.path.abspath(os.path.expanduser(str(path)))
