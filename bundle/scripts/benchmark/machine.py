# SPDX-License-Identifier: Apache-2.0

"""Describe the machine that the figures were measured on."""

from __future__ import annotations

import datetime
import os
import platform

import torch

__all__ = ["describe_machine"]


def describe_machine(device: torch.device) -> str:
    """Return a line with the date, the processor, and the versions of PyTorch and Python.

    Args:
        device: the device that was measured.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} threads"
    today = datetime.date.today().isoformat()
    return f"{today}: {name}{threads}, PyTorch {torch.__version__}, Python {platform.python_version()}."


def _processor() -> str:
    capabilities = torch.cpu.get_capabilities()
    bfloat16 = " and ".join(name for name in ("amx_bf16", "avx512_bf16") if capabilities.get(name)) or "no unit"
    return f"{capabilities.get('cpu_name') or platform.machine()}, {os.cpu_count()} cores, {bfloat16} for bfloat16"
