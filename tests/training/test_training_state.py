# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import torch

from scripts.tracking.mlflow_setup import sqlite_uri
from trainings import EPOCHS, assert_same_end, checkpoints, cut_off, equal, train
from workflows import BUNDLE, train_small


@pytest.fixture(scope="module")
def whole(blobs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("never stopped")
    train(folder, blobs)
    return folder


@pytest.mark.parametrize(
    "number, after, status",
    [
        (signal.SIGTERM, "epoch   1/3", 143),  # within an epoch
        pytest.param(signal.SIGKILL, "epoch   2/3", -9, marks=pytest.mark.battery),
    ],
)
def test_a_training_that_was_cut_off_ends_as_one_that_was_not(number, after, status, whole, blobs, tmp_path):
    assert cut_off(tmp_path, blobs, after, number, num_workers=2) == status
    told = train(tmp_path, blobs, num_workers=1)
    assert "was cut off; going on from epoch" in told and "epoch   1/3" not in told
    assert_same_end(whole, tmp_path)
    client = mlflow.MlflowClient(sqlite_uri(tmp_path / "eval" / "mlruns.db"))
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    losses = {(each.step, each.value) for each in client.get_metric_history(run.info.run_id, "train_loss")}
    assert run.info.status == "FINISHED" and len(losses) == EPOCHS  # what was trained twice was the same
    assert len(list((tmp_path / "eval").glob("train_*"))) == 1
    (run_file,) = tmp_path.glob("eval/train_*/run.json")
    assert json.loads(run_file.read_text())["status"] == "finished"


def test_the_seed_alone_decides(whole, blobs, tmp_path):
    train(tmp_path, blobs, num_workers=2, cache_rate=0.0)
    assert_same_end(whole, tmp_path)


def test_early_stopping(blobs, tmp_path):
    knobs = {"max_epochs": 30, "early_stopping": 2, "learning_rate": 1e-9}
    train_small(tmp_path, blobs, **knobs)
    curves = tmp_path / "models" / "curves.csv"
    before = curves.read_text()
    assert 3 <= len(before.splitlines()) < 30
    (run_file,) = tmp_path.glob("eval/train_*/run.json")
    run = json.loads(run_file.read_text())
    assert run["status"] == "finished"
    run_file.write_text(json.dumps({**run, "status": "running"}))  # as if cut off at the very end
    train_small(tmp_path, blobs, **knobs)
    assert curves.read_text() == before and json.loads(run_file.read_text())["status"] == "finished"


def test_weights_that_may_change_meanwhile_are_kept_from_the_start(trained, blobs, tmp_path):
    train_small(tmp_path, blobs, weights=str(trained.ckpt_dir / "model.pt"), max_epochs=2)
    first, last = checkpoints(tmp_path)
    start = torch.load(first, weights_only=True)
    assert start["step"] == 0 and torch.load(last, weights_only=True)["epoch"] == 2
    assert equal(dict(start["parts"]["network"]), torch.load(trained.ckpt_dir / "model.pt", weights_only=True))


LOADING = """
import os, sys, time
from torch.utils.data import DataLoader
from scripts.training.training_state import leave_signals

class Images:
    def __len__(self): return 100
    def __getitem__(self, index):
        if index == 2: raise ValueError("damaged")
        return os.getpid()

loader = iter(DataLoader(Images(), num_workers=1, worker_init_fn=leave_signals))
print(int(next(loader)), flush=True)
sys.stdin.readline()
print(int(next(loader)), flush=True)
next(loader)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process does not learn elsewhere who sent a signal")
def test_a_process_that_loads_ends_by_its_training_alone():
    command, ends = [sys.executable, "-c", LOADING], {"stdin": -1, "stdout": -1, "stderr": -1}
    with subprocess.Popen(command, cwd=BUNDLE, text=True, **ends) as training:  # type: ignore[call-overload]
        worker = int(training.stdout.readline())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):  # as to a whole group
            os.kill(worker, number)
            time.sleep(0.1)
        told, errors = training.communicate("go on\n", timeout=60)  # the third image is damaged, and all ends
    assert told == f"{worker}\n" and "ValueError: damaged" in errors and training.returncode == 1
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
