# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
import os
import platform
import subprocess
import sys

import pytest
import torch
from monai.bundle import ConfigParser

from awake import trained_on_noise
from scripts.common.errors import InputError
from scripts.networks.acceleration import compile_network, freeze_script, speed_up
from scripts.networks.qtseg import QTSeg
from workflows import BUNDLE


@pytest.fixture()
def trained() -> QTSeg:
    return trained_on_noise()


@torch.no_grad()
def test_bfloat16_segments_alike(trained):
    quick, image = copy.deepcopy(trained), torch.rand(2, 3, 64, 96) * 2 - 1
    speed_up(quick, "bfloat16")
    assert {parameter.dtype for parameter in quick.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in quick.buffers()} == {torch.float32}  # positions: a phase is many turns
    logits, expected = quick(image), trained(image)
    assert logits.dtype == torch.float32
    assert (logits - expected).square().mean().sqrt() < 0.05 * expected.std()
    assert (logits.argmax(1) == expected.argmax(1)).float().mean() > 0.95


@torch.no_grad()
@pytest.mark.parametrize("name", ["unet", "flexible_unet"])
def test_other_networks_segment_alike_in_bfloat16(name):
    torch.manual_seed(0)
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / each) for each in ("inference.json", f"networks/{name}.json")])
    network = parser.get_parsed_content("network_def").eval()
    quick, image = copy.deepcopy(network), torch.rand(2, 3, 64, 96) * 2 - 1
    speed_up(quick, "bfloat16")
    logits, expected = quick(image), network(image)
    assert logits.dtype == torch.float32 and not torch.equal(logits, expected)
    assert (logits - expected).square().mean().sqrt() < 0.05 * expected.std()


@torch.no_grad()
def test_frozen_torchscript_keeps_its_precision(trained):
    image = torch.rand(2, 3, 64, 96) * 2 - 1
    scripted, quick = freeze_script(trained, "bfloat16"), copy.deepcopy(trained)
    speed_up(quick, "bfloat16")
    for _ in range(3):  # TorchScript fuses at its second call
        logits = scripted(image)
    assert (logits - quick(image)).square().mean().sqrt() < 0.05 * logits.std()
    assert not torch.equal(logits, freeze_script(trained)(image))
    assert logits.dtype == torch.float32


@torch.no_grad()
def test_frozen_torchscript_gives_the_same_logits_at_any_size(trained, tmp_path):
    before = set(trained.state_dict())
    freeze_script(trained).save(tmp_path / "network.ts")
    scripted = torch.jit.load(tmp_path / "network.ts")
    for image in (torch.rand(2, 3, 64, 96) * 2 - 1, torch.rand(1, 3, 32, 64) * 2 - 1):
        torch.testing.assert_close(scripted(image), trained(image), atol=1e-4, rtol=1e-4)
    assert set(trained.state_dict()) == before and not trained.training


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory by rules of their own")
def test_freed_memory_is_kept():
    program = """
import resource, sys, torch
from scripts.networks.acceleration import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for turn in range(13):
    if turn == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.full((2**24,), 7, dtype=torch.uint8) for _ in range(4)]  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults, returns = {}, {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # a process that certainly returns memory
    for choice in ("keep", "return"):
        command = [sys.executable, "-c", program, choice]
        done = subprocess.run(command, cwd=BUNDLE, env=returns, capture_output=True, text=True, check=True)
        faults[choice] = int(done.stdout)
    assert faults["return"] > 100 and faults["keep"] < faults["return"] / 10


def test_compiling_changes_neither_logits_nor_keys(trained, monkeypatch):
    modes = []
    compiled, image, keys = copy.deepcopy(trained), torch.rand(1, 3, 64, 64) * 2 - 1, set(trained.state_dict())
    compile_in_place = torch.nn.Module.compile
    # The backend that traces and differentiates, but leaves out the minute of C++ compilation.
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, mode, dynamic: modes.append(mode) or compile_in_place(self, backend="aot_eager", dynamic=dynamic),
    )
    compile_network(compiled, None)
    assert compiled._compiled_call_impl is None
    compile_network(compiled, "reduce-overhead")
    assert compiled._compiled_call_impl is not None and modes == ["reduce-overhead"]
    torch.testing.assert_close(compiled(image), trained(image), atol=1e-4, rtol=1e-4)
    compiled(image).sum().backward()
    assert all(parameter.grad is not None for parameter in compiled.parameters())
    assert set(compiled.state_dict()) == keys


def test_an_unknown_mode_is_named(trained):
    with pytest.raises(InputError, match="compile is 'fast'; use one of default, reduce-overhead, max-autotune"):
        compile_network(trained, "fast")
