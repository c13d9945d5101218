# SPDX-License-Identifier: Apache-2.0

"""All knobs of a config at once: their descriptions, which the config holds, and their checked values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from .active_config import calling_parser
from .knobs import CHECKS, check_knobs

__all__ = ["Knobs", "checked_knobs", "described_knobs"]


class Knobs(SimpleNamespace):
    """The checked values of knobs. Each knob is an attribute of the same name.

    Args:
        values: names and checked values of the knobs.
        unlogged: names of knobs that are not hyper-parameters.
    """

    def __init__(self, values: Mapping[str, Any], unlogged: Sequence[str] = ()) -> None:
        super().__init__(**values)
        #: Names and values of the hyper-parameters that a run logs, of types that JSON can hold.
        self.logged = self.only(*(name for name in values if name not in unlogged))

    def only(self, *names: str) -> dict[str, Any]:
        """Return the names and values of some knobs, of types that JSON can hold.

        Args:
            names: names of the knobs.

        Returns:
            Values by name. A size (H, W) is the list [H, W].
        """
        values = ((name, vars(self)[name]) for name in names)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


def checked_knobs(
    unlogged: Sequence[str] = (), checked: Mapping[str, Any] | None = None, **settled: Any
) -> Knobs:
    """Check all knobs that a config describes, and return them with their right types. A config names this function.

    The config describes its knobs in groups. A group is an object whose id begins with an underscore, as in
    ``train.json``. It holds the title of the group as ``_desc_``, and under the name of each knob what the knob means.
    A new knob needs a value and a description in the config and, if its value can be wrong, a row in :py:mod:`.knobs`.

    Args:
        unlogged: names of knobs that are not hyper-parameters, such as folders.
        checked: values of the knobs that another component has checked already, by name.
        settled: values that are taken instead of those in the config, by the name of the knob.

    Returns:
        The values of all knobs that are logged or checked, in the order of their descriptions. Knobs within a
        component, such as ``augment#padding``, are not among them: the component checks them.

    Raises:
        InputError: if a knob has a wrong value. The message names the first such knob and the cure.
        RuntimeError: if no config calls this function.
    """
    parser = calling_parser()
    settled = {**(checked or {}), **settled}
    names = [name for group in described_knobs(parser.get()).values() for name in group if "#" not in name]
    values = {
        name: settled[name] if name in settled else parser.get_parsed_content(name)
        for name in names
        if name not in unlogged or name in CHECKS
    }
    return Knobs(check_knobs(values), unlogged)


def described_knobs(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the descriptions of the knobs that a config holds.

    Args:
        config: content of a config file, or of several config files that are merged.

    Returns:
        One dictionary for each group, by the title of the group. It holds the description of each knob by its name.
    """
    groups = (dict(group) for name, group in config.items() if name.startswith("_") and isinstance(group, Mapping))
    return {group.pop("_desc_"): group for group in groups if "_desc_" in group}
