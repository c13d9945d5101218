# SPDX-License-Identifier: Apache-2.0

"""Knobs of a training on the command line of a program that starts trainings."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from .errors import InputError

__all__ = ["as_typed", "config_files_of", "config_of", "knobs_of"]


def knobs_of(words: Sequence[str], *, taken: Collection[str], by: str) -> dict[str, str]:
    """Read ``--name value`` pairs, and ``--name=value``.

    Args:
        words: of the command line.
        taken: knobs that the program sets itself.
        by: what the program is, for messages.

    Returns:
        Values by name.

    Raises:
        InputError: if a word is no knob with a value, or the knob is one of ``taken``.
    """
    knobs: dict[str, str] = {}
    waiting = list(words)
    while waiting:
        name, equals, value = waiting.pop(0).partition("=")
        if not name.startswith("--") or not equals and not waiting:
            raise InputError(f"{name} is no knob with a value; write --name value")
        knobs[name[2:]] = value if equals else waiting.pop(0)
    for each in taken:
        if each in knobs:
            raise InputError(f"{each} is set for each {by}; leave it out")
    return knobs


def as_typed(words: Iterable[str]) -> str:
    """The words of a command as a shell takes them; lists of files in double quotes, as they are usually typed."""
    plain = (f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word) for word in words)
    return " ".join(plain)


def config_files_of(config_file: str) -> list[str]:
    """The files that ``--config_file`` names: one, or a list in brackets."""
    files = DefaultParseValue(config_file)
    return list(files) if isinstance(files, (list, tuple)) else [str(files)]


def config_of(files: Sequence[str], knobs: Mapping[str, str]) -> ConfigParser:
    """The config that a training would have.

    Args:
        files: of the config.
        knobs: names and values, as on the command line.
    """
    parser = ConfigParser()
    parser.read_config(list(files))
    values: dict[str, Any] = {name: DefaultParseValue(value) for name, value in knobs.items()}
    parser.update(values)
    return parser
