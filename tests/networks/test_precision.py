# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from scripts.common.errors import InputError
from scripts.networks.precision import AutocastInferer, choose_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    "device, has_bfloat16, chosen",
    [(CPU, True, "float32"), (CUDA, True, "bfloat16"), (CUDA, False, "float16")],
)
def test_the_default_suits_the_device(device, has_bfloat16, chosen, monkeypatch):
    asked = []
    monkeypatch.setattr("torch.cuda.device", lambda device: asked.append(device) or nullcontext())
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert choose_precision(None, device) == chosen
    assert asked == [device] * (device.type == "cuda")  # not of another GPU


def test_a_choice_is_kept():
    assert choose_precision("float32", CUDA) == "float32"
    assert choose_precision("float16", CUDA) == "float16"


@pytest.mark.parametrize("has_amx", [False, True])
def test_slow_bfloat16_is_said(has_amx, monkeypatch, caplog):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_bf16": has_amx})
    with caplog.at_level("INFO", logger="qtseg"):
        assert choose_precision("bfloat16", CPU) == "bfloat16"
    assert ("may be slower than float32" in caplog.text) is not has_amx


@pytest.mark.parametrize(
    "precision, message",
    [("fp16", "precision is 'fp16'; use one of float32, bfloat16, float16"), ("float16", "needs a CUDA device.*cpu")],
)
def test_bad_precision_is_named(precision, message):
    with pytest.raises(InputError, match=message):
        choose_precision(precision, CPU)


@pytest.mark.parametrize("inferer", [SimpleInferer(), SlidingWindowInferer((32, 32))], ids=["simple", "sliding"])
@pytest.mark.parametrize("precision, dtype", [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_autocast_reaches_the_network(inferer, precision, dtype):
    seen = []

    class Network(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer = super().forward(x)
            seen.append(answer.dtype)
            return answer

    network = Network(3, 3, 1)
    answer = AutocastInferer(inferer, precision)(torch.zeros(1, 3, 32, 32), network)
    assert seen == [dtype] and answer.dtype == torch.float32  # so a loss is computed in float32
