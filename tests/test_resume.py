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
"""Trainings that were cut off end as those that were not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from monai.utils import path_to_sqlite_uri

from scripts import resume
from scripts.checkpoint_files import newest_checkpoint, write_checkpoint
from scripts.errors import InputError
from scripts.resume import begin_run, find_unfinished, finish_run
from trainings import EPOCHS, arguments, assert_same_end, read_until, started, train
from workflows import CONFIGS, causes, train_small


def cut_off(folder: Path, data: Path, after: str, number: int) -> int:
    """Start a training, send it a signal once it has printed something, and return its status."""
    with started(arguments(folder, data)) as process:
        read_until(process, after)
        time.sleep(0.1)  # within the next epoch
        process.send_signal(number)
        process.communicate()
    return process.returncode


@pytest.fixture(scope="module")
def whole(blobs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("never stopped")
    train(folder, blobs)
    return folder


@pytest.mark.parametrize(
    "number, after, status",
    [(signal.SIGKILL, "epoch   2/3", -9), (signal.SIGTERM, "epoch   1/3", 143)],
)
def test_a_training_that_was_cut_off_ends_as_one_that_was_not(number, after, status, whole, blobs, tmp_path):
    assert cut_off(tmp_path, blobs, after, number) == status
    told = train(tmp_path, blobs, num_workers=1)
    assert "was cut off; going on from epoch" in told and "epoch   1/3" not in told
    assert_same_end(whole, tmp_path)
    client = mlflow.MlflowClient(path_to_sqlite_uri(str(tmp_path / "eval" / "mlruns.db")))
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    losses = {(each.step, each.value) for each in client.get_metric_history(run.info.run_id, "train_loss")}
    assert run.info.status == "FINISHED" and len(losses) == EPOCHS  # what was trained twice was the same
    assert len(list((tmp_path / "eval").glob("train_*"))) == 1
    assert find_unfinished(str(tmp_path / "eval"), "train", {}, True) is None  # it is finished now


def test_the_seed_alone_decides(whole, blobs, tmp_path):
    train(tmp_path, blobs, num_workers=2, cache_rate=0.0)
    assert_same_end(whole, tmp_path)


def run_of(folder: Path, name: str, recipe: dict[str, Any]) -> Path:
    (folder / name).mkdir(parents=True)
    begin_run(str(folder / name), recipe)
    return folder / name


@pytest.fixture(autouse=True)
def nothing_is_held():
    yield
    resume._let_go()


def test_another_training_is_told_what_differs(tmp_path):
    run_of(tmp_path, "train_1", {"learning_rate": 0.001, "images": "a", "train#loss#smooth_nr": 1})
    asked = {"learning_rate": 0.01, "images": "a", "train#loss#smooth_nr": 2}
    with pytest.raises(InputError) as told:
        find_unfinished(str(tmp_path), "train", asked, True)
    assert str(told.value) == (
        f"{tmp_path / 'train_1'} was cut off, and this training is another: learning_rate was 0.001 and is 0.01; "
        "train#loss#smooth_nr was 1 and is 2. Set it as it was to go on with that one, or set --resume false to leave "
        "it and begin anew"
    )
    assert find_unfinished(str(tmp_path), "train", asked, False) is None
    assert (tmp_path / "train_1").is_dir()
    assert find_unfinished(str(tmp_path), "train", asked, True) is None  # it was left


def test_the_last_of_the_same_recipe_goes_on(tmp_path):
    for i, value in enumerate((1, 2, 1, 3)):
        os.utime(run_of(tmp_path, f"train_{i}", {"seed": value}) / "run.json", ns=(i, i))
    run_of(tmp_path, "fold_0_1", {"seed": 9})
    write_checkpoint(tmp_path / "train_2", {"epoch": 5, "step": 40}, epoch=5, step=40)
    found = find_unfinished(str(tmp_path), "train", {"seed": 1}, True)
    assert found is not None and found.name == "train_2" and found.state == {"epoch": 5, "step": 40}
    begin_run(str(tmp_path / "train_2"), {"seed": 1})
    finish_run(str(tmp_path / "train_2"))
    found = find_unfinished(str(tmp_path), "train", {"seed": 1}, True)
    assert found is not None and found.name == "train_0" and found.state is None


def test_a_training_that_another_process_is_at_is_left_alone(tmp_path):
    folder = tmp_path / "train_1"
    folder.mkdir()
    code = f"from scripts.resume import begin_run as b; b({str(folder)!r}, {{}}); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], cwd=CONFIGS.parent, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        assert find_unfinished(str(tmp_path), "train", {}, True) is None
        process.kill()
    assert find_unfinished(str(tmp_path), "train", {}, True) is not None


def test_damaged_checkpoints_are_noticed(tmp_path, caplog):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, {"weight": torch.full((4,), float(step))}, epoch=step, step=step)
    older, newest = sorted(tmp_path.glob("checkpoint_*.pt"))  # two stay
    whole = newest.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:600] + bytes([whole[600] ^ 1]) + whole[601:], b""):
        newest.write_bytes(content)
        assert torch.equal(newest_checkpoint(tmp_path)["weight"], torch.full((4,), 2.0))
        assert f"{newest} is not as it was written (truncated, or altered); the checkpoint before" in caplog.text
        caplog.clear()
    older.unlink()
    assert newest_checkpoint(tmp_path) is None


def test_a_checkpoint_that_cannot_be_written_costs_none_before(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, {"step": 1}, epoch=1, step=1)

    def full(content, file):
        file.write(b"some of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, {"step": 2}, epoch=2, step=2)
    assert list(tmp_path.iterdir()) == list(tmp_path.glob("checkpoint_epoch=1_*.pt"))
    assert newest_checkpoint(tmp_path) == {"step": 1}


def test_a_folder_that_cannot_be_written_to_is_told_before_the_training(blobs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError) as failure:
        train_small(tmp_path / "file", blobs)
    (error,) = {str(each) for each in causes(failure.value) if isinstance(each, InputError)}
    assert "output_dir" in error and "cannot be written to (Not a directory); give another" in error


def test_early_stopping(blobs, tmp_path):
    train_small(tmp_path, blobs, max_epochs=30, early_stopping=2, learning_rate=1e-9, min_learning_rate=1e-9)
    lines = (tmp_path / "models" / "curves.csv").read_text().splitlines()[1:]
    assert len(lines) < 30
    (run_file,) = tmp_path.glob("eval/train_*/run.json")
    assert json.loads(run_file.read_text())["status"] == "finished"
