# SPDX-License-Identifier: Apache-2.0

"""What an option of QTSeg's architecture is; the table of all options stands in ``qtseg.py``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ..common.errors import InputError
from ..common.knobs import switch

__all__ = ["Option", "any_begins"]


@dataclass(frozen=True)
class Option:
    """An option of the architecture: a knob of the training, an argument of QTSeg and a field of ``model.json``.

    Args:
        name: the name of all three.
        default: the value of the published network.
        since: the first version of the bundle that has the option.
        value_in: reads the value off the names in the state dict of a network, or of its encoder.
        choices: the values of an option that is a choice; empty for one that is switched on or off.
        addition: how the names of the weights begin which the option adds, if they start as if they were not there: a
            network with the option then starts from weights without it. Empty if it cannot.
    """

    name: str
    default: str | bool
    since: str
    value_in: Callable[[Collection[str]], str | bool]
    choices: tuple[str, ...] = ()
    addition: str = ""

    @property
    def absent(self) -> bool | None:
        """The value in settings of a network of another kind than QTSeg."""
        return None if self.choices else False

    @property
    def expected(self) -> str:
        """What may stand in ``model.json``, as words of a message."""
        if not self.choices:
            return "true or false"
        return f"{' or '.join(self.choices)}, or null for a network of another kind"

    def words(self, value: str | bool) -> str:
        """How a log tells a value that is not off."""
        return f"{self.name} {value}" if self.choices else self.name

    def is_value(self, value: Any) -> bool:
        """Whether a value may stand in ``model.json``; that of another network is one."""
        return value is None or value in self.choices if self.choices else isinstance(value, bool)

    def checked(self, value: Any) -> str | bool | None:
        """The value of the knob, which the command line may hand on as a word.

        Args:
            value: the knob; :py:attr:`absent` for a network of another kind.

        Raises:
            InputError: if the option has no such value.
        """
        if not self.choices:
            return switch(**{self.name: value})
        if not self.is_value(value):
            raise InputError(f"{self.name} is {value!r}; use one of {', '.join(self.choices)}")
        return value


def any_begins(names: Collection[str], beginning: str) -> bool:
    """Whether any of the names begins so."""
    return any(name.startswith(beginning) for name in names)
