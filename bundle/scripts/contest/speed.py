# SPDX-License-Identifier: Apache-2.0

"""What networks cost: parameters, multiplications, and times taken in turn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..benchmark.contenders import Contender, evaluating
from ..benchmark.machine import describe_machine
from ..benchmark.measure import count, latency, train_step
from ..common.files import read_json

__all__ = ["measured"]

_ROUNDS = 9  # passes of each network, timed in turn


def measured(
    path: Path,
    builds: Mapping[str, Contender],
    definitions: Mapping[str, str],
    size: int,
    device: torch.device,
) -> dict[str, Any]:
    """Count and time networks, or read what was found before.

    Where one is new, another by now, or has no times, all are timed again, in turn.

    Args:
        path: of the JSON file that keeps what is found.
        builds: by name, what makes each network on the device.
        definitions: by name, what tells a network from one that had the same name before.
        size: side of the images in pixels.
        device: that they are timed on.

    Returns:
        ``machine``, in words, ``device``, ``size``, and ``networks``: by name ``definition``, ``parameters``,
        ``gmacs``, and ``latency`` of one image and ``step`` of a batch of 8, as the benchmark gives them, or None for
        what the memory does not hold.
    """
    if path.is_file():
        found: dict[str, Any] = read_json(path)
        before = found["networks"]
        of_the_same = all(name in before and before[name]["definition"] == definitions[name] for name in builds)
        if (found["size"], found["device"]) == (size, str(device)) and of_the_same:
            if all(before[name][time] for name in builds for time in ("latency", "step")):
                return found
    predicting = {name: partial(evaluating, build) for name, build in builds.items()}
    passes, steps = latency(predicting, size, 1, device, _ROUNDS), train_step(builds, size, 8, device, 3)
    networks: dict[str, dict[str, Any]] = {}
    for name, build in builds.items():
        parameters, gmacs = count(build, size)
        networks[name] = {"definition": definitions[name], "parameters": parameters, "gmacs": gmacs}
        networks[name] |= {"latency": passes.get(name), "step": steps.get(name)}
    return {"machine": describe_machine(device), "device": str(device), "size": size, "networks": networks}
