# SPDX-License-Identifier: Apache-2.0

"""The knobs of trainings, read from the command line of a program that starts trainings."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from .errors import InputError

__all__ = ["as_typed", "config_files_of", "config_of", "knobs_of"]


def knobs_of(words: Sequence[str], *, taken: Collection[str], by: str) -> dict[str, str]:
    """Read knobs that are written as ``--name value`` or as ``--name=value``.

    Args:
        words: words of the command line.
        taken: names of the knobs that the program sets itself.
        by: for which runs and by which program these are set, for the message, such as "training by the contest".

    Returns:
        Values of the knobs by name, as text.

    Raises:
        InputError: if a word is no knob with a value, or if a knob is one of ``taken``.
    """
    knobs: dict[str, str] = {}
    unread = list(words)
    while unread:
        name, equals, value = unread.pop(0).partition("=")
        if not name.startswith("--") or not equals and not unread:
            raise InputError(f"{name} is no knob with a value; write --name value")
        knobs[name[2:]] = value if equals else unread.pop(0)
    for name in taken:
        if name in knobs:
            raise InputError(f"{name} is set for each {by}; leave it out")
    return knobs


def as_typed(words: Iterable[str]) -> str:
    """Join the words of a command to a line that a shell accepts.

    A list such as ``['a.json','b.json']`` is put in double quotes, as it is usually typed.

    Args:
        words: words of the command.
    """
    plain = (f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word) for word in words)
    return " ".join(plain)


def config_files_of(config_file: str) -> list[str]:
    """Return the files that the value of ``--config_file`` names.

    Args:
        config_file: path of one file, or a list of paths in brackets.
    """
    files = DefaultParseValue(config_file)
    return list(files) if isinstance(files, (list, tuple)) else [str(files)]


def config_of(files: Sequence[str], knobs: Mapping[str, str]) -> ConfigParser:
    """Read the config that a training with these files and knobs would have.

    Args:
        files: paths of the config files, which are merged in this order.
        knobs: names and values of knobs, as text of the command line.

    Returns:
        The parser of the config, with the values of the knobs.
    """
    parser = ConfigParser()
    parser.read_config(list(files))
    values: dict[str, Any] = {name: DefaultParseValue(value) for name, value in knobs.items()}
    parser.update(values)
    return parser
