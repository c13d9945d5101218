# SPDX-License-Identifier: Apache-2.0

"""Run the bundle's configs as its users do, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import torch
from torch import nn

BUNDLE = Path(__file__).parents[1] / "bundle"
CONFIGS = BUNDLE / "configs"


class RedIsForeground(nn.Module):
    """Stands for a trained network where a test is about pixels: red pixels are class 1."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        red = image[:, :1] - image[:, 1:2]
        return torch.cat([torch.zeros_like(red), 20 * (red - 0.5)], dim=1)


def config_files(*names: str) -> list[str]:
    return [str(CONFIGS / f"{name}.json") for name in names]


def run(*names: str, run_id: str = "run", **overrides: Any) -> None:
    """``python -m monai.bundle run`` with the named configs, in this process."""
    hook = sys.excepthook
    try:
        monai.bundle.run(run_id=run_id, config_file=config_files(*names), bundle_root=str(BUNDLE), **overrides)
    finally:
        sys.excepthook = hook


def train_small(folder: Path, dataset_dir: Path, **overrides: Any) -> None:
    """A training of seconds into ``folder``: one epoch on 64 x 64 pixels, unless told otherwise."""
    small = {"spatial_size": [64, 64], "batch_size": 4, "max_epochs": 1, **overrides}
    folders = {"ckpt_dir": str(folder / "models"), "output_dir": str(folder / "eval")}
    run("train", run_id="training", dataset_dir=str(dataset_dir), **folders, **small)


def run_command(*arguments: str, cwd: Path, launcher: tuple[str, ...] = ("-m",)) -> subprocess.CompletedProcess:
    """The same as a command in a process of its own, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, "monai.bundle", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def causes(error: BaseException | None) -> list[BaseException]:
    """An exception and what it came from, outermost first."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
