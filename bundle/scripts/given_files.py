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
"""Files that somebody gives, such as lists of images and JSON, and that can turn out to be anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["given_json", "given_path", "given_text"]


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
