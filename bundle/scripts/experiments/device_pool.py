# SPDX-License-Identifier: Apache-2.0

"""Trainings beside each other, on several devices."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

import torch

from ..common.errors import InputError

__all__ = ["add_devices", "spread", "usable_gpus"]

Job = TypeVar("Job")


def add_devices(parser: ArgumentParser, jobs: str) -> None:
    """Give a command ``--devices``.

    Args:
        parser: of its command line.
        jobs: what is spread, in words.
    """
    told = f"numbers of GPUs to spread the {jobs} over, counted from 0 among those that CUDA_VISIBLE_DEVICES leaves"
    parser.add_argument("--devices", nargs="+", default=[], help=f"{told}; one named twice trains two at a time")


def usable_gpus(devices: Sequence[str]) -> list[str]:
    """What the system calls the GPUs of some numbers, counted among those that this process may use.

    Args:
        devices: numbers; anything else is a name already.

    Raises:
        InputError: if there is no GPU of a number. Where there is none at all, and none is hidden, numbers stand for
            jobs beside each other on the CPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = list(takewhile(lambda name: name not in ("", "-1"), visible.split(",")))  # CUDA's list ends there
        told = f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    elif torch.cuda.is_available():
        names, told = [str(i) for i in range(torch.cuda.device_count())], ""
    else:
        return list(devices)
    for device in devices:
        if device.isdigit() and int(device) >= len(names):
            raise InputError(
                f"--devices names GPU {device}, and {len(names)} may be used{told}, counted from 0; name those"
            )
    return [names[int(device)] if device.isdigit() else device for device in devices]


def spread(jobs: Sequence[Job], devices: Sequence[str], run: Callable[[Job, str | None], None]) -> None:
    """Do each job on the next free device, in the order given; after one has failed no other is begun.

    Args:
        jobs: what is to be done.
        devices: GPUs; one that is named twice does two jobs at a time. Empty for one job after another, on no device
            in particular.
        run: does a job on a device, in a thread of its own.

    Raises:
        BaseException: what the first job that failed has raised, once those that were running have ended.
    """
    free: SimpleQueue[str | None] = SimpleQueue()
    for device in devices or (None,):
        free.put(device)
    stopped = Event()

    def run_on_free(job: Job) -> None:
        device = free.get()
        try:
            if not stopped.is_set():
                run(job, device)
        except BaseException:
            stopped.set()
            raise
        finally:
            free.put(device)

    with ThreadPoolExecutor(max(1, len(devices))) as pool:
        try:
            for _ in pool.map(run_on_free, jobs):  # raises what a job raised
                pass
        finally:
            stopped.set()
