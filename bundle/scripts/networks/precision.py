# SPDX-License-Identifier: Apache-2.0

"""The number format that a network computes in: float32, or half precision where the device is quicker with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from ..common.errors import InputError

__all__ = ["DTYPES", "AutocastInferer", "choose_precision"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_logger = logging.getLogger("qtseg")


def choose_precision(precision: str | None, device: torch.device) -> str:
    """Resolve and check the knob ``precision``.

    Args:
        precision: one of ``DTYPES``, or None for what suits the device: on CUDA bfloat16, or float16 where a GPU has
            no bfloat16, and float32 on a CPU.
        device: where the network will run.

    Returns:
        One of ``DTYPES``.

    Raises:
        InputError: if there is no such precision, or not on the device; names both and the cure.
    """
    if precision is None:
        if device.type != "cuda":
            return "float32"
        with torch.cuda.device(device):
            return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if precision not in DTYPES:
        raise InputError(f"precision is {precision!r}; use one of {', '.join(DTYPES)}")
    if precision == "float16" and device.type != "cuda":
        raise InputError(f"precision is float16, which needs a CUDA device, and the device is {device}; use float32")
    if precision == "bfloat16" and device.type == "cpu" and not torch.cpu.get_capabilities().get("amx_bf16", False):
        _logger.info(
            "bfloat16 may be slower than float32 on this CPU, which has no AMX; python -m scripts.benchmark tells"
        )
    return precision


class AutocastInferer(Inferer):
    """Run another inferer in half precision, on any device; MONAI's engines do so on CUDA alone.

    What the network answers leaves in float32, so that loss and scores are computed in it, whatever the network.

    Args:
        inferer: what is run.
        precision: one of ``DTYPES``; float32 leaves everything as it is.
    """

    def __init__(self, inferer: Inferer, precision: str) -> None:
        self.inferer = inferer
        self.dtype = DTYPES[precision]

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Infer from ``inputs`` by ``network``; the other arguments go on to the inferer."""
        with torch.autocast(inputs.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.inferer(inputs, network, *args, **kwargs).float()
