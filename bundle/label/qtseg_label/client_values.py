# SPDX-License-Identifier: Apache-2.0

"""Checks of the values that clients send: ids, tags, names of files, and facts about images and labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from unicodedata import category

from scripts.common.errors import InputError

__all__ = ["TAGS", "checked_facts", "checked_name", "checked_tag", "known_suffix"]

#: Tags of labels: the ones that people have drawn or corrected, and the ones that the model has proposed.
TAGS = ("final", "original")

_LONGEST_NAME = 255  # bytes of a file's name, as Linux and macOS limit it
_MOST_FACTS = 2**16  # bytes of the facts about one image or label, as JSON
_DEEPEST_FACTS = 8  # levels of lists and objects in these facts
# The datastore and the strategies write these facts themselves. Viewers take `id` and `path` for places of files.
_OWN_FACTS = {"id", "path", "name", "ts", "strategy", "image", "label", "uncertainty"}


def checked_name(name: str, what: str, suffix: str = "") -> str:
    """Check that a name can be the name of a file, and nothing else: no path, and no way out of a folder.

    Args:
        name: name that a client has sent.
        what: what the name stands for, for the message.
        suffix: suffix of the file.

    Returns:
        The name.

    Raises:
        InputError: if the name is empty, is a path, has control characters or no Unicode, or is too long.
    """
    wrong = name in ("", ".", "..") or any(mark in "/\\" or category(mark) in ("Cc", "Cs") for mark in name)
    if wrong or len((name + suffix).encode(errors="replace")) > _LONGEST_NAME:
        raise InputError(f"{what} is {name[:80]!r}; send the name of a file, without folders and without its suffix")
    return name


def checked_tag(tag: str) -> str:
    """Check the tag of a label.

    Args:
        tag: tag that a client has sent.

    Returns:
        The tag.

    Raises:
        InputError: if it is none of :py:data:`TAGS`.
    """
    if tag not in TAGS:
        raise InputError(f"tag is {tag[:80]!r}; use one of {', '.join(TAGS)}")
    return tag


def known_suffix(name: str, suffixes: Sequence[str]) -> str:
    """Return the suffix of a file that a client sends.

    Args:
        name: name of the file, or its path on the client's machine.
        suffixes: suffixes that are taken, in lower case.

    Returns:
        The suffix, in lower case, such as ``.nii.gz``.

    Raises:
        InputError: if the file has another suffix.
    """
    suffix = max((suffix for suffix in suffixes if name.lower().endswith(suffix)), key=len, default="")
    if not suffix:
        raise InputError(f"the file {name[-80:]!r} has none of the suffixes {', '.join(suffixes)}; save it as one")
    return suffix


def checked_facts(text: str) -> dict[str, Any]:
    """Read the facts about an image or a label that a client sends, such as the names of segments.

    Args:
        text: a JSON object.

    Returns:
        The facts, without those that the app writes itself.

    Raises:
        InputError: if the text is no JSON object, is too large, or is nested too deeply.
    """
    try:
        facts = json.loads(text or "{}")
        size = facts_size(facts)
    except (ValueError, RecursionError) as error:  # also NaN, infinity, and halves of UTF-16 pairs
        raise InputError(f"params or info is no JSON ({error}); send an object such as {{}}") from error
    if not isinstance(facts, dict):
        raise InputError(f"params or info is {text[:80]!r}; send a JSON object such as {{}}")
    if size > _MOST_FACTS or not _is_flat(facts, _DEEPEST_FACTS):
        raise InputError(
            f"params or info has {size} bytes; send at most {_MOST_FACTS}, in at most {_DEEPEST_FACTS} levels"
        )
    return {name: value for name, value in facts.items() if name not in _OWN_FACTS}


def merged_facts(facts: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Add facts to those of an image or a label.

    Args:
        facts: facts so far.
        more: facts to add. A fact of the same name is replaced.

    Raises:
        InputError: if they become too many.
    """
    merged = {**facts, **more}
    if facts_size(merged) > _MOST_FACTS:
        raise InputError(f"the facts about an image or label would have more than {_MOST_FACTS} bytes; send fewer")
    return merged


def facts_size(facts: Any) -> int:
    """Return the number of bytes of facts, as JSON that every client can read.

    Raises:
        ValueError: if a number is not finite, or a text is no Unicode.
    """
    return len(json.dumps(facts, allow_nan=False, ensure_ascii=False).encode())


def _is_flat(value: Any, levels: int) -> bool:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return levels >= 0 and all(_is_flat(part, levels - 1) for part in parts)
