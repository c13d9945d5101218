# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import platform
import re

import pytest
import torch

from scripts.benchmark.machine import describe_machine


@pytest.mark.parametrize(
    "capabilities, told",
    [
        ({"cpu_name": "a CPU", "amx_bf16": True, "avx512_bf16": True}, "a CPU, {} cores, amx_bf16 and avx512_bf16 for"),
        ({"cpu_name": "a CPU", "avx512_bf16": True, "amx_bf16": False}, "a CPU, {} cores, avx512_bf16 for"),
        ({}, f"{platform.machine()}, {{}} cores, no unit for"),
    ],
)
def test_a_cpu_is_told_with_what_it_computes_bfloat16_by(capabilities, told, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    versions = f"PyTorch {torch.__version__}, Python {platform.python_version()}."
    sentence = describe_machine(torch.device("cpu"))
    processor = f"{told.format(os.cpu_count())} bfloat16, {torch.get_num_threads()} threads"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d: " + re.escape(f"{processor}, {versions}"), sentence)


def test_a_gpu_is_told_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    sentence = describe_machine(torch.device("cuda:1"))
    assert f": GPU 1, PyTorch {torch.__version__}, " in sentence and "threads" not in sentence
