# SPDX-License-Identifier: Apache-2.0

"""All knobs of a config at once: which there are, by their descriptions in it, and their checked values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from .active_config import calling_parser
from .knobs import CHECKS, check_knobs

__all__ = ["Knobs", "checked_knobs", "described_knobs"]


class Knobs(SimpleNamespace):
    """Checked values of knobs, as attributes of the same names.

    Args:
        values: names and values.
        unlogged: names of knobs that are no hyper-parameters.
    """

    def __init__(self, values: Mapping[str, Any], unlogged: Sequence[str] = ()) -> None:
        super().__init__(**values)
        #: names and values of the hyper-parameters, as a run logs them and JSON can hold them
        self.logged = self.only(*(name for name in values if name not in unlogged))

    def only(self, *names: str) -> dict[str, Any]:
        """Names and values of some knobs; a size as the list [H, W]."""
        values = ((name, vars(self)[name]) for name in names)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


def checked_knobs(
    unlogged: Sequence[str] = (), checked: Mapping[str, Any] | None = None, **settled: Any
) -> Knobs:
    """All knobs that a config describes, checked and with their right types. To be named in a config.

    A knob is described in a group: an object whose id begins with an underscore, as in ``train.json``. It holds the
    group's title as ``_desc_``, and by the name of a knob what that means. Another knob needs a value, a description
    and, where it can be wrong, a row in :py:mod:`.knobs`.

    Args:
        unlogged: names of knobs that are no hyper-parameters, such as folders.
        checked: by the name of a knob, its value where another component has checked it already.
        settled: by the name of a knob, the value that is taken instead of the one in the config.

    Returns:
        The values of all knobs that are logged or checked, in the order of their descriptions. Those within a
        component, such as ``augment#padding``, are checked there.

    Raises:
        InputError: naming the first knob with a wrong value, and the cure.
        RuntimeError: if not called by a config.
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
    """The knobs that a config describes.

    Args:
        config: content of a config file, or of several merged.

    Returns:
        By the title of each group, the names of its knobs and what they mean.
    """
    groups = (dict(group) for name, group in config.items() if name.startswith("_") and isinstance(group, Mapping))
    return {group.pop("_desc_"): group for group in groups if "_desc_" in group}
