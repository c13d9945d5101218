# SPDX-License-Identifier: Apache-2.0

"""Record how an evaluation was run: its command, date, folder and machine, and the versions of its software."""

from __future__ import annotations

import datetime
import os
import platform
import re
from pathlib import Path

import monai
import torch

from ..common.files import read_json, write_json
from ..common.paths import METADATA

__all__ = ["read_provenance", "record"]

_FACTS = ("command", "folder", "date", "system", "python", "torch", "monai", "bundle")
_SCHEMA = {"required": _FACTS, "properties": {name: {"type": "string"} for name in (*_FACTS, "curves")}}


def record(folder: Path, command: str, curves: str | os.PathLike | None) -> None:
    """Write ``provenance.json``.

    Args:
        folder: folder of the evaluation.
        command: the command that ran the evaluation; passwords in URLs are replaced by ``***``.
        curves: path of the ``curves.csv`` of the training; None if there is none.
    """
    metadata = read_json(METADATA)
    provenance = {
        "command": re.sub(r"(://[^/\s:@]*:)[^/\s]+@", r"\1***@", command),  # other people may read the page
        "folder": os.getcwd(),
        "date": datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "monai": monai.__version__,
        "bundle": f"{metadata['name']} {metadata['version']}",
        **({} if curves is None else {"curves": os.path.abspath(curves)}),
    }
    write_json(folder / "provenance.json", provenance)


def read_provenance(folder: Path) -> dict[str, str] | None:
    """Read ``provenance.json``; return None if :py:func:`record` did not write one.

    Args:
        folder: folder of the evaluation.

    Raises:
        InputError: if the file cannot be read.
    """
    path = folder / "provenance.json"
    return read_json(path, cure="remove it, or evaluate again", schema=_SCHEMA) if path.is_file() else None
