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

"""Measure networks: in turn, round after round, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import psutil
import torch
from monai.losses import DiceCELoss
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .contenders import Contender, training

__all__ = ["count", "in_turn", "latency", "peak_memory", "train_step"]

Figures = dict[str, dict[str, float]]

_WARM_UP = 3  # rounds that do not count; TorchScript optimizes in its first two


def count(build: Contender, size: int) -> tuple[int, float]:
    """Count parameters, and 10^9 multiply-accumulates of one image of ``size`` pixels a side, by torch's counter."""
    network = build().eval().requires_grad_(False)
    image = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    # The counter knows no fused attention on a CPU.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(image)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() / 2e9


def latency(contenders: Mapping[str, Contender], size: int, batch: int, device: torch.device, rounds: int) -> Figures:
    """Time a forward pass.

    Args:
        contenders: what is measured, by name.
        size: side of the images in pixels.
        batch: images of a pass.
        device: where.
        rounds: passes of each contender, after some that do not count.

    Returns:
        By name: ``median``, ``low`` and ``high`` quartile of a pass in milliseconds.
    """
    image = torch.rand(batch, 3, size, size, device=device) * 2 - 1

    def forward(network: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                network(image)

        return run

    return _in_turn({name: forward(build()) for name, build in contenders.items()}, device, rounds)


def train_step(
    contenders: Mapping[str, Contender], size: int, batch: int, device: torch.device, rounds: int
) -> Figures:
    """Time a training step: forward, loss, backward and optimizer; arguments and result as in ``latency``."""
    return _in_turn(
        {name: _step(build(), size, batch, device) for name, build in contenders.items()}, device, rounds
    )


def peak_memory(name: str, weights: str | None, size: int, batch: int, device: torch.device) -> float:
    """Measure what a training step takes at its peak, in MiB beyond the network itself, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, name, weights, size, batch, str(device)).result()


def _peak(name: str, weights: str | None, size: int, batch: int, device: str) -> float:
    network = training(weights, torch.device(device))[name]()
    step = _step(network, size, batch, torch.device(device))
    _step(network, 64, 2, torch.device(device))()  # what a first step sets up is no activation
    if device.startswith("cuda"):
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    process = psutil.Process()
    before, peak, done = process.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    step()
    done.set()
    watcher.join()
    return (peak - before) / 2**20


def _step(network: nn.Module, size: int, batch: int, device: torch.device) -> Callable[[], None]:
    network.train()
    image = torch.rand(batch, 3, size, size, device=device) * 2 - 1
    label = (torch.rand(batch, 1, size, size, device=device) > 0.6).float()
    loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def run() -> None:
        optimizer.zero_grad()
        loss(network(image), label).backward()
        optimizer.step()

    return run


def _in_turn(runs: Mapping[str, Callable[[], None]], device: torch.device, rounds: int) -> Figures:
    figures = {}
    for name, seconds in in_turn(runs, device, rounds, warm_up=_WARM_UP).items():
        low, median, high = statistics.quantiles([1000 * value for value in seconds], n=4)
        figures[name] = {"median": median, "low": low, "high": high}
    return figures


def in_turn(
    runs: Mapping[str, Callable[[], Any]], device: torch.device, rounds: int, *, warm_up: int
) -> dict[str, list[float]]:
    """Time each of ``runs`` once a round; by name, its seconds in each round.

    Args:
        runs: what is timed, by name.
        device: where it computes; a GPU is waited for.
        rounds: rounds that count.
        warm_up: rounds before them that do not.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-warm_up, rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    return times
