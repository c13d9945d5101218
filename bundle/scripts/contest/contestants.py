# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What takes part in a contest: a network, trained by a recipe, with several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from ..command_line import config_of
from ..errors import InputError

__all__ = ["Contestant", "build_network"]


class Contestant(NamedTuple):
    """A network and a recipe, by the names of their overlays."""

    recipe: str
    network: str

    def run(self, seed: int) -> str:
        """The name of its training with a seed, which is that of its folder too."""
        return f"{self.recipe}/{self.network}/seed_{seed}"

    def config_files(self, files: Sequence[str]) -> list[str]:
        """The files of its training.

        Args:
            files: of every training; the overlays lie in ``networks/`` and ``recipes/`` beside the first.

        Raises:
            InputError: if there is no such overlay; names those that there are.
        """
        folder = Path(files[0]).parent
        overlays = [folder / "networks" / f"{self.network}.json", folder / "recipes" / f"{self.recipe}.json"]
        for path in overlays:
            if not path.is_file():
                there = ", ".join(sorted(each.stem for each in path.parent.glob("*.json")))
                raise InputError(f"{path} is not there; the {path.parent.name} are {there}")
        return [*files, *map(str, overlays)]


def build_network(files: Sequence[str], knobs: Mapping[str, str]) -> nn.Module:
    """The network that a config describes, as it is initialized.

    Args:
        files: of the config.
        knobs: names and values, as on the command line.
    """
    network: nn.Module = config_of(files, knobs).get_parsed_content("network_def")
    return network
