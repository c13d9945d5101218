# SPDX-License-Identifier: Apache-2.0

"""Marks in mask files: what a mask was made of, and whether it is still as it was made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mask_files import OUTLINES, MarkedFile, mask_format
from .pictures import TEXT_KEY

__all__ = ["made_of", "mark", "read_mark", "was_changed"]


def made_of(source: str | os.PathLike[str], settings: Mapping[str, Any]) -> str:
    """A digest of what a mask is made of: the image's path, size and time, and the settings.

    Args:
        source: the image's file.
        settings: JSON can hold them.

    Raises:
        OSError: if the image is not there.
    """
    status = os.stat(source)
    facts = [os.path.abspath(source), status.st_size, status.st_mtime_ns, settings]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def mark(made: str, content: NDArray[Any] | str) -> str:
    """The text to write into a file.

    Args:
        made: of :py:func:`made_of`.
        content: the pixels of a mask or another picture, or the text of a file.
    """
    return f"{TEXT_KEY} {made} {_digest(content)}"


def read_mark(path: str | os.PathLike[str]) -> str | None:
    """What a mask was made of; None for a file without a mark.

    Args:
        path: of an existing file.
    """
    found = _marked(Path(path))
    return found and found[0]


def was_changed(path: str | os.PathLike[str]) -> bool:
    """Whether the pixels of a file are others than when it was marked; true for a file without a mark, or damaged.

    Args:
        path: of an existing file.
    """
    path = Path(path)
    found = _marked(path)
    try:
        return found is None or found[1] != _digest(_kind(path).content(path))
    except Exception:  # whatever a decoder makes of a damaged file
        return True


def _marked(path: Path) -> tuple[str, str] | None:
    """What a file was made of, and the digest of its label ids."""
    try:
        words = _kind(path).text(path).split()
    except Exception:  # whatever a decoder makes of a file that is none of ours
        return None
    return (words[1], words[2]) if len(words) == 3 and words[0] == TEXT_KEY else None


def _kind(path: Path) -> MarkedFile:
    return OUTLINES if path.name.endswith(OUTLINES.suffix) else mask_format(path)


def _digest(content: NDArray[Any] | str) -> str:
    data = content.encode() if isinstance(content, str) else np.ascontiguousarray(content).tobytes()
    return hashlib.sha256(data).hexdigest()[:16]
