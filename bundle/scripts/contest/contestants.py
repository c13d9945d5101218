# SPDX-License-Identifier: Apache-2.0

"""The contestants of a contest: networks that are trained with a recipe and with several seeds."""

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

# what a config says about its network
_NETWORK_IDS = ("network_def", *OPTIONS, "architecture", "out_channels")


class Contestant(NamedTuple):
    """A network and the recipe that it is trained with.

    Attributes:
        recipe: name of the overlay in ``configs/recipes``, without ``.json``.
        network: name of the overlay in ``configs/networks``, without ``.json``.
    """

    recipe: str
    network: str

    def run(self, seed: int) -> str:
        """Return the name of the training with a seed, which is also the name of its folder."""
        return f"{self.recipe}/{self.network}/seed_{seed}"

    def overlays(self, folder: Path) -> list[str]:
        """Return the paths of the two overlays.

        Args:
            folder: folder of the configs; the overlays are in its folders ``networks`` and ``recipes``.

        Raises:
            InputError: if an overlay does not exist; the message names those that exist.
        """
        paths = [folder / "networks" / f"{self.network}.json", folder / "recipes" / f"{self.recipe}.json"]
        for path in paths:
            if not path.is_file():
                names = ", ".join(sorted(overlay.stem for overlay in path.parent.glob("*.json")))
                raise InputError(f"{path} is not there; the {path.parent.name} are {names}")
        return [str(path) for path in paths]


def check_free(knobs: Iterable[str], overlays: Iterable[str]) -> None:
    """Check that no knob of the command line is also set by an overlay.

    A knob of the command line holds for all trainings, so the training would not be what the name of its overlay says.

    Args:
        knobs: names of the knobs of the command line.
        overlays: paths of the overlays.

    Raises:
        InputError: if an overlay sets one of the knobs; the message names both.
    """
    for path in overlays:
        for name in ConfigParser.load_config_file(path):
            for knob in knobs:
                if f"{knob}#".startswith(f"{name}#") or f"{name}#".startswith(f"{knob}#"):
                    raise InputError(f"{knob} is set by {path}; leave it out, or write an overlay that sets it so")


def definition_of(config: ConfigParser) -> str:
    """Return all that a config says about its network, as JSON."""
    return json.dumps({name: config.get(name) for name in _NETWORK_IDS}, sort_keys=True)


def build_network(files: Sequence[str], knobs: Mapping[str, str], device: torch.device) -> nn.Module:
    """Build the network of a config, with its initial weights.

    Args:
        files: config files.
        knobs: names and values of knobs, as on the command line.
        device: the device that the network is placed on.
    """
    network: nn.Module = config_of(files, knobs).get_parsed_content("network_def")
    return network.to(device)
