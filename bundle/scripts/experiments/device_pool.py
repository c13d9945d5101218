# SPDX-License-Identifier: Apache-2.0

"""Run jobs, such as trainings, at the same time on several devices."""

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
    """Add the option ``--devices`` to a command.

    Args:
        parser: parser of the command line.
        jobs: name of the jobs that are spread over the devices, such as "folds", for the help text.
    """
    text = f"numbers of GPUs to spread the {jobs} over, counted from 0 among those that CUDA_VISIBLE_DEVICES leaves"
    parser.add_argument("--devices", nargs="+", default=[], help=f"{text}; a GPU named twice trains two at a time")


def usable_gpus(devices: Sequence[str]) -> list[str]:
    """Translate numbers of GPUs to the names that ``CUDA_VISIBLE_DEVICES`` uses for them.

    The numbers count the GPUs that this process may use, from 0. If the machine has no GPU, and
    ``CUDA_VISIBLE_DEVICES`` is not set, the numbers are returned unchanged; then each stands for one job at a time on
    the CPU.

    Args:
        devices: numbers of GPUs; any other text is a name already, and is returned unchanged.

    Raises:
        InputError: if there is no GPU with one of the numbers.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = list(takewhile(lambda name: name not in ("", "-1"), visible.split(",")))  # CUDA ignores what follows
        visible_text = f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    elif torch.cuda.is_available():
        names, visible_text = [str(i) for i in range(torch.cuda.device_count())], ""
    else:
        return list(devices)
    for device in devices:
        if device.isdigit() and int(device) >= len(names):
            raise InputError(
                f"--devices names GPU {device}, and {len(names)} may be used{visible_text}, counted from 0; name those"
            )
    return [names[int(device)] if device.isdigit() else device for device in devices]


def spread(jobs: Sequence[Job], devices: Sequence[str], run: Callable[[Job, str | None], None]) -> None:
    """Run jobs in their order, each on the next free device. After a job has failed, no other job is started.

    Args:
        jobs: the jobs to run.
        devices: names of the devices; a device that is named twice runs two jobs at a time. Empty to run one job after
            another without a device; then ``run`` gets None.
        run: function that runs a job on a device. It is called in a thread for every job.

    Raises:
        BaseException: the error of the first job that failed, after all running jobs have ended.
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
            for _ in pool.map(run_on_free, jobs):  # raises the error of a job that failed
                pass
        finally:
            stopped.set()
