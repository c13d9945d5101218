# SPDX-License-Identifier: Apache-2.0

"""Measure networks as their users run them, one to a process, and in turn, so that a busy machine slows all alike."""

from __future__ import annotations

import ctypes
import logging
import math
import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..training.losses import SoftLabelDiceCELoss
from .contenders import Contender

__all__ = ["count", "in_own_process", "in_turn", "latency", "seconds", "train_step"]

Figures = dict[str, dict[str, float]]
Run = Callable[[], Any]
T = TypeVar("T")

_WARM_UP = 1  # turns that do not count; TorchScript optimizes in its first two passes
_ENOUGH = 30.0  # seconds for all turns of a network, so that slow ones are measured once or twice
_LONG = 4.0  # seconds; a shorter pass is run twice in a turn, as others had the caches of the processor before it

_logger = logging.getLogger("qtseg")
_NO_MEMORY = (torch.OutOfMemoryError, BrokenProcessPool)  # the latter where Linux ends a process for the others' sake
_run: Run  # in a process that measures one network: what is timed


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
        rounds: passes of each contender, after some that do not count; fewer of what takes seconds.

    Returns:
        By name: ``median``, ``low`` and ``high`` quartile of a pass in milliseconds. What the memory does not hold is
        logged and left out.
    """
    prepares = {name: partial(_prepare_pass, build, size, batch, device) for name, build in contenders.items()}
    return {name: figures for name, (figures, _) in _in_turn(prepares, device, rounds).items()}


def train_step(
    contenders: Mapping[str, Contender], size: int, batch: int, device: torch.device, rounds: int
) -> Figures:
    """Time a training step: forward, loss, backward and optimizer.

    Args:
        contenders: what is measured, by name.
        size: side of the images in pixels.
        batch: images of a step.
        device: where.
        rounds: steps of each contender, after some that do not count; fewer of what takes seconds.

    Returns:
        As ``latency`` does, and ``memory``: what a step takes at its peak, in MiB beyond network and optimizer.
    """
    prepares = {name: partial(_prepare_step, build, size, batch, device) for name, build in contenders.items()}
    return {name: {**figures, "memory": peak} for name, (figures, peak) in _in_turn(prepares, device, rounds).items()}


def in_own_process(function: Callable[..., T], *arguments: Any) -> T:
    """Call ``function`` in a new process, where nothing that ran before changes its speed."""
    with _process() as process:
        return process.submit(function, *arguments).result()


def in_turn(
    timers: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int, enough: float = math.inf
) -> dict[str, list[float]]:
    """Let each of ``timers`` measure once a round; by name, its seconds in each round.

    Args:
        timers: what measures once, by name.
        rounds: rounds that count.
        warm_up: rounds before them that do not. A timer that returned NaN, which stays its time, is not asked again.
        enough: seconds; what has taken so long, warm-up included, is not measured again, once it has been.
    """
    times: dict[str, list[float]] = {name: [] for name in timers}
    spent = dict.fromkeys(timers, 0.0)
    for turn in range(-warm_up, rounds):
        for name, timer in timers.items():
            if (spent[name] >= enough and times[name]) or math.isnan(spent[name]):
                continue
            value = timer()
            spent[name] += value
            if turn >= 0 or value >= enough or math.isnan(value):
                times[name].append(value)
    return times


def seconds(run: Run, device: torch.device) -> float:
    """Time ``run``; a GPU is waited for."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _process() -> ProcessPoolExecutor:
    if "forkserver" not in get_all_start_methods():
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # torch and MONAI are imported once for all
    return ProcessPoolExecutor(1, mp_context=context)


def _in_turn(
    prepares: Mapping[str, Callable[[], float]], device: torch.device, rounds: int
) -> dict[str, tuple[dict[str, float], float]]:
    """Prepare each network in a process of its own, then time them in turn; what each prepared is returned too."""
    with ExitStack() as stack:
        prepared, timers = {}, {}
        for name, prepare in prepares.items():
            process = stack.enter_context(_process())
            try:
                prepared[name] = process.submit(prepare).result()
            except _NO_MEMORY as error:
                process.shutdown()  # which gives back what it has got
                _leave_out(name, error)
                continue
            timers[name] = partial(_ask, name, process, device)
        times = in_turn(timers, rounds, warm_up=_WARM_UP, enough=_ENOUGH)
    figures = {}
    for name, values in times.items():
        if math.isnan(sum(values)):
            continue
        low, median, high = _quartiles([1000 * value for value in values])
        figures[name] = {"median": median, "low": low, "high": high}, prepared[name]
    return figures


def _quartiles(values: list[float]) -> list[float]:
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values


def _ask(name: str, process: ProcessPoolExecutor, device: torch.device) -> float:
    try:
        return process.submit(_timed, device).result()
    except _NO_MEMORY as error:
        process.shutdown()
        _leave_out(name, error)
        return math.nan


def _leave_out(name: str, error: Exception) -> None:
    cause = "its process ended, as where memory is short" if isinstance(error, BrokenProcessPool) else f"{error}"
    _logger.warning(f"{name} is left out: {cause}; if it does not fit, name a smaller --batch")


def _timed(device: torch.device) -> float:
    taken = seconds(_run, device)
    if taken < _LONG:
        taken = seconds(_run, device)
    _give_back_memory(device)  # the others need it now
    return taken


def _give_back_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _prepare_pass(build: Contender, size: int, batch: int, device: torch.device) -> float:
    global _run
    network = build()
    image, _ = _images(batch, size, device)

    def forward() -> None:
        with torch.inference_mode():
            network(image)

    _run = forward
    return _first(_run, device)


def _prepare_step(build: Contender, size: int, batch: int, device: torch.device) -> float:
    global _run
    network = build().train()
    loss = SoftLabelDiceCELoss(include_background=False, softmax=True)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step(image: Tensor, label: Tensor) -> None:
        optimizer.zero_grad()
        loss(network(image), label).backward()
        optimizer.step()

    step(*_images(2, 64, device))  # what a first step sets up is no activation
    _run = partial(step, *_images(batch, size, device))
    return _first(_run, device)


def _images(batch: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    image = torch.rand(batch, 3, size, size, device=device) * 2 - 1
    there = (image[:, :1] > 0.2).float()
    return image, torch.cat([1 - there, there], dim=1)


def _first(run: Run, device: torch.device) -> float:
    """Run for the first time; its peak of memory."""
    peak = _peak(run, device)
    _give_back_memory(device)
    return peak


def _peak(run: Run, device: torch.device) -> float:
    """Run once; what that took at its peak beyond what was there before, in MiB."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    process = psutil.Process()
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:  # an error must reach the caller, not a process that waits for its thread
        done.set()
        watcher.join()
    return (peak - before) / 2**20
