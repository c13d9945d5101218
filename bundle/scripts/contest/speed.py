# SPDX-License-Identifier: Apache-2.0

"""Measure what networks cost: their parameters, their multiplications, and their times."""

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

_TIMES = {
    "type": ["object", "null"],
    "required": ["median"],
    "properties": {"median": {"type": "number"}},
}
_COST = {
    "type": "object",
    "required": ["definition", "parameters", "gmacs", "latency", "step"],
    "properties": {
        "definition": {"type": "string"},
        "parameters": {"type": "number"},
        "gmacs": {"type": "number"},
        "latency": _TIMES,
        "step": _TIMES,
    },
}
_SCHEMA = {
    "required": ["machine", "device", "size", "networks"],
    "properties": {"machine": {"type": "string"}, "networks": {"type": "object", "additionalProperties": _COST}},
}

_ROUNDS = 9  # how often every network is timed, alternately with the others


def measured(
    path: Path,
    builds: Mapping[str, Contender],
    definitions: Mapping[str, str],
    size: int,
    device: torch.device,
) -> dict[str, Any]:
    """Count parameters and multiplications of networks and time them, or read the figures of an earlier call.

    All networks are measured again, alternately, if one of them is new, has changed, or has no times, or if the size
    or the device is another.

    Args:
        path: path of the JSON file that may have the figures of an earlier call.
        builds: functions that build the networks on the device, by name.
        definitions: texts that describe the networks, by name. A network whose text differs from the text in the file
            has changed.
        size: side of the square images in pixels.
        device: the device that the networks are timed on.

    Returns:
        ``machine``: description of the machine.
        ``device`` and ``size``: the arguments.
        ``networks``: by name, the ``definition``, ``parameters`` (their number), ``gmacs``, ``latency`` of one image,
        and ``step``, the training step of a batch of 8. The two times are as :py:mod:`..benchmark.measure` returns
        them, or None if the network does not fit into memory.
    """
    if path.is_file():
        previous: dict[str, Any] = read_json(path, cure="remove it, to measure again", schema=_SCHEMA)
        measured_networks = previous["networks"]
        unchanged = all(
            name in measured_networks and measured_networks[name]["definition"] == definitions[name] for name in builds
        )
        if (previous["size"], previous["device"]) == (size, str(device)) and unchanged:
            if all(measured_networks[name][time] for name in builds for time in ("latency", "step")):
                return previous
    predicting = {name: partial(evaluating, build) for name, build in builds.items()}
    passes, steps = latency(predicting, size, 1, device, _ROUNDS), train_step(builds, size, 8, device, 3)
    networks: dict[str, dict[str, Any]] = {}
    for name, build in builds.items():
        parameters, gmacs = count(build, size)
        networks[name] = {"definition": definitions[name], "parameters": parameters, "gmacs": gmacs}
        networks[name] |= {"latency": passes.get(name), "step": steps.get(name)}
    return {"machine": describe_machine(device), "device": str(device), "size": size, "networks": networks}
