# SPDX-License-Identifier: Apache-2.0

"""Trainings that were cut off end as those that were not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forked import run_forked
from scripts.checkpoints.run_checkpoints import newest_checkpoint, write_checkpoint
from scripts.common.errors import InputError
from scripts.training import resume
from scripts.training.resume import Unfinished, begin_run, find_unfinished, finish_run, first_intensities
from trainings import arguments, cut_off
from workflows import CONFIGS


@pytest.fixture(autouse=True)
def as_in_a_config(monkeypatch):
    """The name of the run is not given, and nothing stays locked."""
    monkeypatch.setattr(resume, "_run_name_of_user", lambda: None)
    yield
    resume._let_go()


def run_of(folder: Path, name: str, ckpt_dir: Path, **values: Any) -> dict[str, Any]:
    """A training that was cut off; returns its fingerprint."""
    (folder / name).mkdir(parents=True)
    fingerprint = {"format": 1, "ckpt_dir": str(ckpt_dir), **values}
    begin_run(str(folder / name), fingerprint, 4)
    return fingerprint


def find(folder: Path, fingerprint: dict[str, Any], resume: bool = True) -> Unfinished | None:
    return find_unfinished(str(folder), "train", fingerprint, resume)


def test_another_training_is_told_what_differs(tmp_path):
    known = {"images": {"a.png": "1", "b.png": "2", "c.png": "3"}, "sections": {"loss": {"_target_": "DiceLoss"}}}
    begun = run_of(tmp_path, "train_1", tmp_path / "m", learning_rate=0.001, **known)
    write_checkpoint(tmp_path / "train_1", {"epoch": 5, "step": 40}, epoch=5, step=40)
    asked = {**begun, "learning_rate": 0.01, "images": {"a.png": "1", "b.png": "4", "d.png": "5"}}
    with pytest.raises(InputError) as told:
        find(tmp_path, asked)
    assert str(told.value) == (
        f"{tmp_path / 'train_1'} was cut off, and this training is another: of the images d.png is new (1 in all), "
        "c.png is gone (1 in all), b.png is changed, or its mask (1 in all); learning_rate was 0.001 and is 0.01. Set "
        "it as it was to go on with that one, or set --resume false to leave it and begin anew"
    )
    assert find(tmp_path, {**asked, "ckpt_dir": str(tmp_path / "another model")}) is None  # has a folder of its own
    assert find(tmp_path, asked, resume=False) is None
    assert (tmp_path / "train_1").is_dir()
    assert find(tmp_path, asked) is None  # it was left


def begun_by_an_earlier_version(folder: Path, ckpt_dir: Path, checkpoint: bool = True) -> Path:
    """A training that was cut off before fingerprints were described by sections; returns its ``run.json``."""
    folder.mkdir(parents=True)
    recipe = {"learning_rate": 0.001, "network_def#_target_": "scripts.qtseg.QTSeg", "ckpt_dir": str(ckpt_dir)}
    (folder / "run.json").write_text(json.dumps({"status": "running", "recipe": recipe, "batch_size": 4}))
    if checkpoint:
        write_checkpoint(folder, {"epoch": 5, "step": 40}, epoch=5, step=40)
    return folder / "run.json"


def test_a_training_of_an_earlier_version_cannot_go_on(tmp_path, monkeypatch):
    run_file = begun_by_an_earlier_version(tmp_path / "train_1", tmp_path / "m")
    begun = json.loads(run_file.read_text())
    asked = {"format": 1, "ckpt_dir": str(tmp_path / "m"), "learning_rate": 0.001}
    message = (
        f"{tmp_path / 'train_1'} was cut off by an earlier version of the bundle and cannot go on; set --resume false "
        "to leave it and begin anew, or finish it with the version that began it"
    )
    with pytest.raises(InputError) as refused:
        find(tmp_path, asked)
    assert str(refused.value) == message
    with monkeypatch.context() as patch, pytest.raises(InputError) as refused:
        patch.setattr(resume, "_run_name_of_user", lambda: "train_1")
        find(tmp_path, asked)
    assert str(refused.value) == message
    assert json.loads(run_file.read_text()) == begun
    assert find(tmp_path, asked, resume=False) is None
    assert json.loads(run_file.read_text()) == {**begun, "status": "left"}
    assert newest_checkpoint(tmp_path / "train_1") == {"epoch": 5, "step": 40}
    assert find(tmp_path, asked) is None


def test_a_training_of_an_earlier_version_without_a_checkpoint_is_in_no_others_way(tmp_path):
    run_file = begun_by_an_earlier_version(tmp_path / "train_1", tmp_path / "m", checkpoint=False)
    assert find(tmp_path, {"format": 1, "ckpt_dir": str(tmp_path / "m")}) is None
    assert json.loads(run_file.read_text())["status"] == "left"


def test_a_training_that_has_no_checkpoint_yet_is_in_no_others_way(tmp_path):
    begun = run_of(tmp_path, "train_1", tmp_path / "m", learning_rate=0.001)  # such as one with a knob that ended it
    assert find(tmp_path, {**begun, "learning_rate": 0.01}) is None
    assert find(tmp_path, begun) is None  # it was left


def test_intensities_are_those_of_the_start(tmp_path):
    def first(weights: Path | None = None, settings: dict[str, Any] | None = None) -> str:
        return first_intensities(str(tmp_path), "train", str(tmp_path / "models"), True, weights, settings)

    assert first() == first(settings={"intensities": "percentiles"}) == "percentiles"
    assert first(settings={"intensities": "min_max"}) == "min_max"  # of the model that is continued
    assert first(tmp_path / "released.pt") == "min_max"  # as published
    run_of(tmp_path, "train_old", tmp_path / "other")
    assert first(tmp_path / "train_old" / "checkpoint_epoch=1_step=1_0123456789abcdef.pt") == "min_max"
    run_of(tmp_path, "train_new", tmp_path / "other", intensities="percentiles")
    assert first(tmp_path / "train_new" / "checkpoint_epoch=1_step=1_0123456789abcdef.pt") == "percentiles"


def test_the_last_of_the_same_fingerprint_goes_on(tmp_path):
    for i, value in enumerate((1, 2, 1, 3)):
        fingerprint = run_of(tmp_path, f"train_{i}", tmp_path / "m", seed=value)
        os.utime(tmp_path / f"train_{i}" / "run.json", ns=(i, i))
    run_of(tmp_path, "fold_0_1", tmp_path / "m", seed=9)
    write_checkpoint(tmp_path / "train_2", {"epoch": 5, "step": 40}, epoch=5, step=40)
    fingerprint["seed"] = 1
    found = find(tmp_path, fingerprint)
    assert found == Unfinished("train_2", {"epoch": 5, "step": 40}, 4)
    begin_run(str(tmp_path / "train_2"), fingerprint, 4)
    finish_run(str(tmp_path / "train_2"))
    assert find(tmp_path, fingerprint) == Unfinished("train_0", None, 4)


def test_a_name_that_was_given_is_looked_for(tmp_path, monkeypatch):
    fingerprint = run_of(tmp_path, "mine", tmp_path / "m", seed=1)
    assert find(tmp_path, fingerprint) is None
    monkeypatch.setattr(resume, "_run_name_of_user", lambda: "mine")
    found = find(tmp_path, fingerprint)
    assert found is not None and found.name == "mine"
    with pytest.raises(InputError, match="mine was cut off, and this training is another: seed was 1 and is 2"):
        find(tmp_path, {**fingerprint, "seed": 2})
    with pytest.raises(InputError, match="run_name mine is that of a training which is there, .*; give another name"):
        find(tmp_path, fingerprint, resume=False)
    finish_run(str(tmp_path / "mine"))
    with pytest.raises(InputError, match="run_name mine is that of a training which is there, .*; give another name"):
        find(tmp_path, fingerprint)


def test_a_folder_of_a_model_is_for_one_training(tmp_path):
    code = (
        "from scripts.training.resume import begin_run as begin\n"
        f"begin({str(tmp_path / 'train_1')!r}, {{'ckpt_dir': {str(tmp_path / 'm')!r}}}, 4)\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    (tmp_path / "train_1").mkdir()
    with subprocess.Popen([sys.executable, "-c", code], cwd=CONFIGS.parent, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        with pytest.raises(InputError, match="another training is writing into .*m; wait for it, stop it, or give"):
            find(tmp_path, {"ckpt_dir": str(tmp_path / "m")})
        assert find(tmp_path, {"ckpt_dir": str(tmp_path / "another")}) is None
        process.kill()
    assert find(tmp_path, {"ckpt_dir": str(tmp_path / "m")}) is not None


def test_a_damaged_note_of_a_run_stops_no_other(tmp_path, caplog):
    (tmp_path / "train_1").mkdir()
    (tmp_path / "train_1" / "run.json").write_text("{")
    assert find(tmp_path, {"ckpt_dir": str(tmp_path / "m")}) is None
    assert f"{tmp_path / 'train_1'} is passed over" in caplog.text


def test_what_a_training_learns_from_is_part_of_it(blobs, tmp_path):
    shutil.copytree(blobs, tmp_path / "data")
    code = cut_off(tmp_path, tmp_path / "data", "epoch   2/3", signal.SIGKILL)  # after the first was saved
    assert code == -9
    mask = next((tmp_path / "data" / "masks").iterdir())
    pixels = 255 - np.asarray(Image.open(mask).convert("L"))
    Image.fromarray(pixels).save(mask)
    done = run_forked(*arguments(tmp_path, tmp_path / "data"), cwd=tmp_path)
    told = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and f"of the images images/{mask.stem}" in told and "is changed, or its mask" in told
    assert "--resume false" in told
