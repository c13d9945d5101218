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

"""What networks cost: parameters, multiplications, and times taken in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..benchmark.machine import describe_machine
from ..benchmark.measure import count, latency, train_step
from ..whole_files import read_json, write_json

__all__ = ["measured"]

_ROUNDS = 9  # passes of each network, timed in turn


def measured(
    path: Path, builds: Mapping[str, Callable[[], nn.Module]], size: int, device: torch.device
) -> dict[str, Any]:
    """Count and time networks, or read what was found before; a network that is new has all timed again, in turn.

    Args:
        path: of the JSON file that keeps what is found.
        builds: by name, what makes each network.
        size: side of the images in pixels.
        device: that they are timed on.

    Returns:
        ``machine``, in words, ``size``, and ``networks``: by name ``parameters``, ``gmacs``, and ``latency`` of one
        image and ``step`` of a batch of 8, as the benchmark gives them, or None for what the memory does not hold.
    """
    if path.is_file():
        found = read_json(path)
        if found["size"] == size and found["networks"].keys() >= builds.keys():
            return found
    predicting = {name: partial(_evaluating, build) for name, build in builds.items()}
    passes, steps = latency(predicting, size, 1, device, _ROUNDS), train_step(builds, size, 8, device, 3)
    networks: dict[str, dict[str, Any]] = {}
    for name, build in builds.items():
        parameters, gmacs = count(build, size)
        networks[name] = {"parameters": parameters, "gmacs": gmacs}
        networks[name] |= {"latency": passes.get(name), "step": steps.get(name)}
    found = {"machine": describe_machine(device), "size": size, "networks": networks}
    write_json(path, found)
    return found


def _evaluating(build: Callable[[], nn.Module]) -> nn.Module:
    return build().eval()
