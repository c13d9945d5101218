# SPDX-License-Identifier: Apache-2.0

"""What takes part in a contest: a network, trained by a recipe, with several seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from monai.bundle import ConfigParser
from torch import nn

from ..common.command_line import config_of
from ..common.errors import InputError
from ..networks.qtseg import OPTIONS

__all__ = ["Contestant", "build_network", "check_free", "definition_of"]

_OF_NETWORK = ("network_def", *OPTIONS, "architecture", "out_channels")


class Contestant(NamedTuple):
    """A network and a recipe, by the names of their overlays."""

    recipe: str
    network: str

    def run(self, seed: int) -> str:
        """The name of its training with a seed, which is that of its folder too."""
        return f"{self.recipe}/{self.network}/seed_{seed}"

    def overlays(self, folder: Path) -> list[str]:
        """The config files that its training has beside those that all share.

        Args:
            folder: of the configs; the overlays lie in ``networks/`` and ``recipes/`` there.

        Raises:
            InputError: if there is no such overlay; names those that there are.
        """
        paths = [folder / "networks" / f"{self.network}.json", folder / "recipes" / f"{self.recipe}.json"]
        for path in paths:
            if not path.is_file():
                there = ", ".join(sorted(each.stem for each in path.parent.glob("*.json")))
                raise InputError(f"{path} is not there; the {path.parent.name} are {there}")
        return [str(path) for path in paths]


def check_free(knobs: Iterable[str], overlays: Iterable[str]) -> None:
    """Refuse knobs that overlays set: on the command line they would hold for all, whatever their names say.

    Args:
        knobs: their names.
        overlays: config files.

    Raises:
        InputError: naming such a knob, and the overlay.
    """
    for path in overlays:
        for name in ConfigParser.load_config_file(path):
            for knob in knobs:
                if f"{knob}#".startswith(f"{name}#") or f"{name}#".startswith(f"{knob}#"):
                    raise InputError(f"{knob} is set by {path}; leave it out, or write an overlay that sets it so")


def definition_of(config: ConfigParser) -> str:
    """All that a config says of its network, as JSON."""
    return json.dumps({name: config.get(name) for name in _OF_NETWORK}, sort_keys=True)


def build_network(files: Sequence[str], knobs: Mapping[str, str], device: torch.device) -> nn.Module:
    """The network that a config describes, as it is initialized.

    Args:
        files: of the config.
        knobs: names and values, as on the command line.
        device: to place it on.
    """
    network: nn.Module = config_of(files, knobs).get_parsed_content("network_def")
    return network.to(device)
