# SPDX-License-Identifier: Apache-2.0

"""Marks in mask files. A mark tells from which image and settings a mask was made, and whether it was changed since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .formats.mask_files import OUTLINES, MarkedFile, mask_format
from .pictures import TEXT_KEY

__all__ = ["made_of", "mark", "read_mark", "was_changed"]


def made_of(source: str | os.PathLike[str], settings: Mapping[str, Any]) -> str:
    """Return a digest of what a mask depends on: the path, size and time of the image's file, and the settings.

    Args:
        source: path of the image's file.
        settings: the settings that the mask depends on, with values that JSON can store.

    Returns:
        16 hexadecimal digits.

    Raises:
        OSError: if the image's file is missing.
    """
    status = os.stat(source)
    facts = [os.path.abspath(source), status.st_size, status.st_mtime_ns, settings]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def mark(origin: str, content: NDArray[Any] | str) -> str:
    """Return the mark, which is the text to write into a file.

    Args:
        origin: digest from :py:func:`made_of`.
        content: the pixels of a mask or another picture, or the text of a file.
    """
    return f"{TEXT_KEY} {origin} {_digest(content)}"


def read_mark(path: str | os.PathLike[str]) -> str | None:
    """Read from a file's mark what the file was made of.

    Args:
        path: path of an existing file.

    Returns:
        The digest from :py:func:`made_of`; None for a file without a mark.
    """
    digests = _read_digests(Path(path))
    return digests and digests[0]


def was_changed(path: str | os.PathLike[str]) -> bool:
    """Return whether the content of a file was changed after the mark was written.

    Args:
        path: path of an existing file.

    Returns:
        True also for a damaged file and for a file without a mark.
    """
    path = Path(path)
    digests = _read_digests(path)
    try:
        return digests is None or digests[1] != _digest(_file_format(path).content(path))
    except Exception:  # a decoder can raise any error for a damaged file
        return True


def _read_digests(path: Path) -> tuple[str, str] | None:
    """Read both digests of a mark: what the file was made of, and its content. None for a file without a mark."""
    try:
        words = _file_format(path).text(path).split()
    except Exception:  # a decoder can raise any error for a file that this bundle has not written
        return None
    return (words[1], words[2]) if len(words) == 3 and words[0] == TEXT_KEY else None


def _file_format(path: Path) -> MarkedFile:
    return OUTLINES if path.name.endswith(OUTLINES.suffix) else mask_format(path)


def _digest(content: NDArray[Any] | str) -> str:
    data = content.encode() if isinstance(content, str) else np.ascontiguousarray(content).tobytes()
    return hashlib.sha256(data).hexdigest()[:16]
