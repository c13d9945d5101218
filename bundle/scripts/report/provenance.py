# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Where an evaluation came from: its command, when and where it ran, and with which versions."""

from __future__ import annotations

import datetime
import os
import platform
import re
from pathlib import Path

import monai
import torch

from ..whole_files import read_json, write_json

__all__ = ["read_provenance", "record"]

_METADATA = Path(__file__).parents[2] / "configs" / "metadata.json"


def record(folder: Path, command: str, curves: str | os.PathLike | None) -> None:
    """Write ``provenance.json``.

    Args:
        folder: of the evaluation.
        command: what was run; passwords in addresses are left out.
        curves: file of the training's curves.
    """
    metadata = read_json(_METADATA)
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
