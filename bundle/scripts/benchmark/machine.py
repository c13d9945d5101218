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

"""The machine that figures were measured on, in words."""

from __future__ import annotations

import datetime
import os
import platform

import torch

__all__ = ["describe_machine"]


def describe_machine(device: torch.device) -> str:
    """The date, what computes, and the versions of PyTorch and Python, as a sentence.

    Args:
        device: that the figures are of.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} threads"
    today = datetime.date.today().isoformat()
    return f"{today}: {name}{threads}, PyTorch {torch.__version__}, Python {platform.python_version()}."


def _processor() -> str:
    found = torch.cpu.get_capabilities()
    bfloat16 = " and ".join(name for name in ("amx_bf16", "avx512_bf16") if found.get(name)) or "no unit"
    return f"{found.get('cpu_name') or platform.machine()}, {os.cpu_count()} cores, {bfloat16} for bfloat16"
