# SPDX-License-Identifier: Apache-2.0

"""Measure networks, each in its own process, and alternately, so that other load slows all of them equally."""

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

_WARM_UP = 1  # rounds that do not count; TorchScript optimizes in its first two passes
_ENOUGH = 30.0  # seconds in total for one network, so that slow networks are measured only once or twice
_LONG = 4.0  # seconds; shorter passes run twice, because other networks used the processor's caches before

_logger = logging.getLogger("qtseg")
_NO_MEMORY = (torch.OutOfMemoryError, BrokenProcessPool)  # the latter if Linux kills a process to free memory
_run: Run  # the function to time, in a process that measures one network


def count(build: Contender, size: int) -> tuple[int, float]:
    """Count the parameters of a network, and its multiply-accumulate operations with torch's counter.

    Args:
        build: the function that builds the network.
        size: side of the image in pixels.

    Returns:
        The number of parameters, and the multiply-accumulate operations for one image in units of 10^9.
    """
    network = build().eval().requires_grad_(False)
    image = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    # The counter does not support fused attention on a CPU.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(image)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() / 2e9


def latency(contenders: Mapping[str, Contender], size: int, batch: int, device: torch.device, rounds: int) -> Figures:
    """Time a forward pass.

    Args:
        contenders: the functions that build the networks, by name.
        size: side of the images in pixels.
        batch: images in a pass.
        device: the device that the networks run on.
        rounds: number of timed passes of each network, after a warm-up; slow networks get fewer.

    Returns:
        By name: ``median``, ``low`` and ``high`` quartile of the time of a pass in milliseconds. A network that does
        not fit into memory is logged and left out.
    """
    setups = {name: partial(_prepare_pass, build, size, batch, device) for name, build in contenders.items()}
    return {name: figures for name, (figures, _) in _in_turn(setups, device, rounds).items()}


def train_step(
    contenders: Mapping[str, Contender], size: int, batch: int, device: torch.device, rounds: int
) -> Figures:
    """Time a training step: forward, loss, backward and optimizer.

    Args:
        contenders: the functions that build the networks, by name.
        size: side of the images in pixels.
        batch: images in a step.
        device: the device that the networks run on.
        rounds: number of timed steps of each network, after a warm-up; slow networks get fewer.

    Returns:
        The same as ``latency``, and ``memory``: the peak memory of a step in MiB, without network and optimizer.
    """
    setups = {name: partial(_prepare_step, build, size, batch, device) for name, build in contenders.items()}
    return {name: {**figures, "memory": peak} for name, (figures, peak) in _in_turn(setups, device, rounds).items()}


def in_own_process(function: Callable[..., T], *arguments: Any) -> T:
    """Call ``function`` in a new process, so that earlier work does not change its speed."""
    with _process() as process:
        return process.submit(function, *arguments).result()


def in_turn(
    timers: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int, enough: float = math.inf
) -> dict[str, list[float]]:
    """Call all timers alternately, once in every round.

    Args:
        timers: by name, a function that measures once and returns seconds. A timer that returns NaN is not called
            again, and NaN stays in its result.
        rounds: number of rounds that count.
        warm_up: number of rounds before them, which do not count.
        enough: limit in seconds. A timer that took this long in total, including the warm-up, is not called again once
            it has a result.

    Returns:
        By name, the seconds of every round.
    """
    times: dict[str, list[float]] = {name: [] for name in timers}
    totals = dict.fromkeys(timers, 0.0)
    for number in range(-warm_up, rounds):
        for name, timer in timers.items():
            if (totals[name] >= enough and times[name]) or math.isnan(totals[name]):
                continue
            value = timer()
            totals[name] += value
            if number >= 0 or value >= enough or math.isnan(value):
                times[name].append(value)
    return times


def seconds(run: Run, device: torch.device) -> float:
    """Return the seconds that ``run`` takes, including the work it starts on a GPU."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _process() -> ProcessPoolExecutor:
    if "forkserver" not in get_all_start_methods():
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # so that torch and MONAI are imported only once
    return ProcessPoolExecutor(1, mp_context=context)


def _in_turn(
    setups: Mapping[str, Callable[[], float]], device: torch.device, rounds: int
) -> dict[str, tuple[dict[str, float], float]]:
    """Set up each network in its own process, then time them alternately.

    Args:
        setups: by name, a function that sets up a network and returns the peak memory of its first run in MiB.
        device: the device that the networks run on.
        rounds: number of rounds that count.

    Returns:
        By name, the quartiles of the time in milliseconds, and the peak memory in MiB.
    """
    with ExitStack() as stack:
        peaks, timers = {}, {}
        for name, setup in setups.items():
            process = stack.enter_context(_process())
            try:
                peaks[name] = process.submit(setup).result()
            except _NO_MEMORY as error:
                process.shutdown()  # frees the memory that the process took
                _leave_out(name, error)
                continue
            timers[name] = partial(_time_in, name, process, device)
        times = in_turn(timers, rounds, warm_up=_WARM_UP, enough=_ENOUGH)
    figures = {}
    for name, values in times.items():
        if math.isnan(sum(values)):
            continue
        low, median, high = _quartiles([1000 * value for value in values])
        figures[name] = {"median": median, "low": low, "high": high}, peaks[name]
    return figures


def _quartiles(values: list[float]) -> list[float]:
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values


def _time_in(name: str, process: ProcessPoolExecutor, device: torch.device) -> float:
    try:
        return process.submit(_time_run, device).result()
    except _NO_MEMORY as error:
        process.shutdown()
        _leave_out(name, error)
        return math.nan


def _leave_out(name: str, error: Exception) -> None:
    killed = "its process was killed, most likely because memory was short"
    cause = killed if isinstance(error, BrokenProcessPool) else f"{error}"
    _logger.warning(f"{name} is left out: {cause}; if it does not fit, name a smaller --batch")


def _time_run(device: torch.device) -> float:
    duration = seconds(_run, device)
    if duration < _LONG:
        duration = seconds(_run, device)
    _free_memory(device)  # for the other processes
    return duration


def _free_memory(device: torch.device) -> None:
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
    return _first_peak(_run, device)


def _prepare_step(build: Contender, size: int, batch: int, device: torch.device) -> float:
    global _run
    network = build().train()
    loss = SoftLabelDiceCELoss(include_background=False, softmax=True)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step(image: Tensor, label: Tensor) -> None:
        optimizer.zero_grad()
        loss(network(image), label).backward()
        optimizer.step()

    step(*_images(2, 64, device))  # the optimizer allocates its state in this step, outside the measured peak
    _run = partial(step, *_images(batch, size, device))
    return _first_peak(_run, device)


def _images(batch: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    image = torch.rand(batch, 3, size, size, device=device) * 2 - 1
    foreground = (image[:, :1] > 0.2).float()
    return image, torch.cat([1 - foreground, foreground], dim=1)


def _first_peak(run: Run, device: torch.device) -> float:
    """Call ``run`` for the first time, free unused memory, and return the peak memory in MiB."""
    peak = _peak(run, device)
    _free_memory(device)
    return peak


def _peak(run: Run, device: torch.device) -> float:
    """Call ``run`` once and return its peak memory in MiB, without the memory that was in use before."""
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
    finally:  # stop the thread, so that after an error the process does not wait for it forever
        done.set()
        watcher.join()
    return (peak - before) / 2**20
