# SPDX-License-Identifier: Apache-2.0

"""Several processes: they compute what one computes, and end when one of them dies."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from scripts.evaluation.scores import read_scores
from scripts.networks.qtseg import QTSeg
from trainings import arguments, kill_one, read_until, run_job, started
from workflows import BUNDLE, config_files

IN_TIME = 60  # seconds


class FrozenStatistics(QTSeg):
    """Normalizes with the running statistics in training too: those of a batch are another's in each process."""

    def __init__(self, architecture: dict[str, Any], in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, **architecture)

    def train(self, mode: bool = True) -> FrozenStatistics:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def words(*names: str, **knobs: Any) -> list[str]:
    knobs = {"bundle_root": BUNDLE, **knobs}
    start = ["run", "run", "--config_file", str(config_files(*names))]
    return [*start, *(word for name, value in knobs.items() for word in (f"--{name}", str(value)))]


def train(folder: Path, data: Path, processes: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Train on batches of 4 images, whatever the number of processes, and return the curves."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    several = processes > 1
    command = [
        *words("train", *(["multi_gpu_train"] if several else []), dataset_dir=data, spatial_size="[32,32]"),
        *("--batch_size", str(4 // processes), "--max_epochs", "3", "--validation_share", "0.3"),
        *("--ckpt_dir", str(folder / "models"), "--output_dir", str(folder / "eval")),
        *("--network_def#_target_", "test_several_processes.FrozenStatistics", "--augment#max_changes", "0"),
    ]
    done = run_job(command, folder, processes)
    assert done.returncode == 0, done.stderr[-3000:]
    with open(folder / "models" / "curves.csv") as file:
        return list(csv.DictReader(file))


def test_two_processes_train_as_one_with_the_same_global_batch(blobs, tmp_path, monkeypatch):
    curves = []
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        curves.append(train(tmp_path / str(processes), blobs, processes, monkeypatch))
    one, two = curves
    assert [row["epoch"] for row in one] == [row["epoch"] for row in two] == ["1", "2", "3"]
    for a, b in zip(one, two):
        for name in ("train_loss", "val_dice", "val_iou", "val_mae"):  # the sums and means over all images
            assert float(b[name]) == pytest.approx(float(a[name]), abs=1e-4), (name, a, b)
    assert float(one[-1]["train_loss"]) < float(one[0]["train_loss"]) - 0.01  # so that equal means something


def test_three_processes_evaluate_as_one(trained, blobs, tmp_path):
    data = Path(shutil.copytree(blobs, tmp_path / "data"))
    for part in ("images", "masks"):
        for path, name in zip(sorted((data / part).iterdir()), ("a tab\t and\na line", os.fsdecode(b"b lat\xe9n"))):
            path.rename(path.with_name(name + path.suffix))
    reports = []
    for processes in (1, 3):
        output_dir = tmp_path / str(processes)
        output_dir.mkdir()
        overlay = ["multi_gpu_evaluate"] if processes > 1 else []
        places = {"ckpt_dir": trained.ckpt_dir, "output_dir": output_dir, "dataset_dir": data}
        done = run_job(words("train", "evaluate", *overlay, **places, part="all"), tmp_path, processes)
        assert done.returncode == 0, done.stderr[-3000:]
        reports.append({path.name: path.read_bytes() for path in (output_dir / "evaluation").glob("*.[cj]s*")})
    one, three = reports
    assert {"scores.csv", "summary.json", "calibration.json"} <= set(one)
    assert len(read_scores(tmp_path / "1" / "evaluation")) == 11  # which three do not divide: each is scored once
    for name in ("scores.csv", "summary.json", "calibration.json"):
        assert three[name] == one[name], name


@pytest.mark.battery
def test_a_process_that_dies_ends_the_training_and_is_named(blobs, tmp_path):
    words = arguments(tmp_path, blobs, "multi_gpu_train", max_epochs=10000, validation_share=0.3)
    with started(words, processes=2) as job:
        read_until(job, "epoch   1/")
        seconds, told = kill_one(job)
    assert seconds < IN_TIME and job.returncode == 1
    assert "error: another process of this job has ended" in told and "[rank0]" not in told
