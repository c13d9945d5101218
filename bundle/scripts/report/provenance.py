# SPDX-License-Identifier: Apache-2.0

"""Where an evaluation came from: its command, when and where it ran, and with which versions."""

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


def record(folder: Path, command: str, curves: str | os.PathLike | None) -> None:
    """Write ``provenance.json``.

    Args:
        folder: of the evaluation.
        command: what was run; passwords in addresses are left out.
        curves: file of the training's curves.
    """
    metadata = read_json(METADATA)
    provenance = {
        "command": re.sub(r"(://[^/\s:@]*:)[^/\s@]+@", r"\1***@", command),  # the page may be sent to others
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
    """Read what :py:func:`record` has written; None if it was not called.

    Args:
        folder: of the evaluation.

    Raises:
        InputError: if the file cannot be read.
    """
    path = folder / "provenance.json"
    return read_json(path) if path.is_file() else None
