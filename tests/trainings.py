# SPDX-License-Identifier: Apache-2.0

"""Trainings in processes of their own, which tests cut off, and whether two of them came to the same end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from forked import Forked, run_forked
from workflows import BUNDLE, config_files, run_command

EPOCHS = 3


def checkpoints(folder: Path) -> list[Path]:
    """Of the runs in a folder, the last one last."""
    found = folder.glob("eval/train_*/checkpoint_*.pt")
    return sorted(found, key=lambda path: int(path.name.split("step=")[1].split("_")[0]))


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def assert_same_end(a: Path, b: Path) -> None:
    """Weights, optimizer, schedule, scores and curves, bit by bit."""
    states = [torch.load(checkpoints(folder)[-1], weights_only=True) for folder in (a, b)]
    assert states[0]["step"] == states[1]["step"] and equal(*states)
    assert equal(*(torch.load(folder / "models" / "model.pt", weights_only=True) for folder in (a, b)))
    lines = ((folder / "models" / "curves.csv").read_text().splitlines() for folder in (a, b))
    assert all(x.partition(",")[2] == y.partition(",")[2] for x, y in zip(*lines, strict=True))  # but the run's name


def arguments(folder: Path, data: Path, *overlays: str, **knobs: Any) -> list[str]:
    """Words of a training's command, into ``folder``."""
    settings = {"spatial_size": "[64,64]", "batch_size": 2, "max_epochs": EPOCHS, "save_interval": 1, **knobs}
    settings |= {"dataset_dir": data, "ckpt_dir": folder / "models", "output_dir": folder / "eval"}
    settings["bundle_root"] = BUNDLE
    words = ["run", "training", "--config_file", str(config_files("train", *overlays))]
    return [*words, *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]


def launcher(processes: int) -> tuple[str, ...]:
    """What starts a job of several processes; ``-m`` for one."""
    several = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m")
    return several if processes > 1 else ("-m",)


def run_job(words: list[str], folder: Path, processes: int) -> subprocess.CompletedProcess:
    """Run the command in one or several processes, to its end."""
    several = processes > 1
    return run_command(*words, cwd=folder, launcher=launcher(processes)) if several else run_forked(*words, cwd=folder)


@contextmanager
def started(words: list[str], processes: int = 1) -> Iterator[subprocess.Popen]:
    """A training that runs meanwhile, on one thread, in a group of its own; its output is one text."""
    command = [sys.executable, *launcher(processes), "monai.bundle", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen | Forked, text: str) -> str:
    """What a process prints up to the line that holds ``text``."""
    told = ""
    for line in process.stdout:  # type: ignore[union-attr]
        told += line
        if text in line:
            return told
    raise AssertionError(f"{text!r} is not in what was printed:\n{told[-3000:]}")


def train(folder: Path, data: Path, *overlays: str, processes: int = 1, **knobs: Any) -> str:
    """Train to the end, and return what was printed."""
    words = arguments(folder, data, *overlays, **knobs)
    done = run_command(*words, cwd=folder, launcher=launcher(processes))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def kill_one(job: subprocess.Popen) -> tuple[float, str]:
    """Kill the second process of a job of two.

    Returns:
        How long the rest of it lived on, in seconds, and what was printed meanwhile.
    """
    ranks = [child for child in psutil.Process(job.pid).children() if "monai.bundle" in child.cmdline()]
    assert len(ranks) == 2
    victim = next(child for child in ranks if child.environ()["RANK"] == "1")
    start = time.monotonic()
    victim.kill()
    told = job.communicate(timeout=120)[0]
    seconds = time.monotonic() - start
    assert f"Signal 9 (SIGKILL) received by PID {victim.pid}" in told, told[-3000:]
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in ranks)
    return seconds, told


def cut_off(folder: Path, data: Path, after: str, number: int, **knobs: Any) -> int:
    """Start a training, send it and its workers a signal once it has printed something, and return its status."""
    with started(arguments(folder, data, **knobs)) as process:
        read_until(process, after)
        time.sleep(0.1)  # within the next epoch
        os.killpg(process.pid, number)
        process.communicate()
    return process.returncode
