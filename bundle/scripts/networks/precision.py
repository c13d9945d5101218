# SPDX-License-Identifier: Apache-2.0

"""The number format that a network computes in: float32, or half precision on devices where that is faster."""

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
    """Check the knob ``precision``, and choose its value if it is not set.

    Args:
        precision: one of the names in ``DTYPES``. None chooses by device: bfloat16 on a GPU that supports it, float16
            on another GPU, and float32 on a CPU.
        device: the device that the network will run on.

    Returns:
        One of the names in ``DTYPES``.

    Raises:
        InputError: if the precision is unknown, or the device does not support it. The message names the precision, the
            device and the cure.
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
            "bfloat16 may be slower than float32 on this CPU, which has no AMX; to measure it, run "
            "python -m scripts.benchmark"
        )
    return precision


class AutocastInferer(Inferer):
    """Run another inferer in half precision on any device; MONAI's engines do this on CUDA only.

    The network's output is converted to float32, so that loss and scores are computed in float32 for every network.

    Args:
        inferer: the inferer to run.
        precision: one of the names in ``DTYPES``; float32 turns autocast off.
    """

    def __init__(self, inferer: Inferer, precision: str) -> None:
        self.inferer = inferer
        self.dtype = DTYPES[precision]

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Run ``network`` on ``inputs``; the other arguments are passed to the inferer. Returns float32."""
        with torch.autocast(inputs.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.inferer(inputs, network, *args, **kwargs).float()
