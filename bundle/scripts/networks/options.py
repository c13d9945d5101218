# SPDX-License-Identifier: Apache-2.0

"""The type of an option of QTSeg's architecture. The table of all options is in ``qtseg.py``."""

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
        name: name of the knob, of the argument and of the field.
        default: value of the published network.
        since: first version of the bundle that has the option.
        value_in: function that returns the value from the names in the state dict of a network. If only the weights of
            an encoder are known, it gets their names, which begin with ``encoder.``, and nothing else.
        choices: allowed values of an option that is a choice. Empty for an option that is on or off.
        addition: prefix in the names of the weights that the option adds, if these have no effect at the start of a
            training. A network with the option can then start from weights without it. Empty if it cannot.
    """

    name: str
    default: str | bool
    since: str
    value_in: Callable[[Collection[str]], str | bool]
    choices: tuple[str, ...] = ()
    addition: str = ""

    @property
    def others(self) -> tuple[str | bool, ...]:
        """The allowed values except the default."""
        return tuple(value for value in self.choices or (False, True) if value != self.default)

    @property
    def absent(self) -> bool | None:
        """The value in the settings of a network other than QTSeg."""
        return None if self.choices else False

    @property
    def expected(self) -> str:
        """The allowed values in ``model.json``, as words of a message."""
        if not self.choices:
            return "true or false"
        return f"{' or '.join(self.choices)}, or null for a network of another kind"

    def words(self, value: str | bool) -> str:
        """Return the words for a value in a log, if the option is not off.

        Args:
            value: value of the option.
        """
        return f"{self.name} {value}" if self.choices else self.name

    def is_value(self, value: Any) -> bool:
        """Return whether a value is allowed in ``model.json``. The value of another network is allowed too.

        Args:
            value: value in the file.
        """
        return value is None or value in self.choices if self.choices else isinstance(value, bool)

    def checked(self, value: Any) -> str | bool | None:
        """Check the value of the knob. The command line may pass true and false as words.

        Args:
            value: value of the knob, or :py:attr:`absent` for a network of another kind.

        Returns:
            The value with its right type.

        Raises:
            InputError: if the option has no such value.
        """
        if not self.choices:
            return switch(**{self.name: value})
        if not self.is_value(value):
            raise InputError(f"{self.name} is {value!r}; use one of {', '.join(self.choices)}")
        return value


def any_begins(names: Collection[str], beginning: str) -> bool:
    """Return whether any of the names has a prefix.

    Args:
        names: names of weights.
        beginning: the prefix.
    """
    return any(name.startswith(beginning) for name in names)
