# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from scripts.common.errors import InputError
from scripts.data.splits.split import Fold, Split
from scripts.experiments.scored_runs import ScoredRuns


def test_hours_add_up_over_interruptions(tmp_path):
    runs = ScoredRuns(tmp_path, "train.json", {}, "settings.json")
    (tmp_path / "run").mkdir()
    assert runs.hours("run") == 0
    for _ in range(2):
        with pytest.raises(ValueError), runs._timed("run"):
            time.sleep(0.1)
            raise ValueError
    assert 0.2 <= 3600 * runs.hours("run") < 2


def test_a_folder_serves_one_command_at_a_time(tmp_path):
    with ScoredRuns(tmp_path, "train.json", {}, "settings.json").locked():
        with pytest.raises(InputError, match="is in use by another such command; wait for it or stop it"):
            with ScoredRuns(tmp_path, "train.json", {}, "settings.json").locked():
                pass


@pytest.fixture
def long_runs(tmp_path, monkeypatch) -> ScoredRuns:
    """Runs of a program that says how it has ended."""
    run = tmp_path / "run"
    lines = ("#!/bin/sh", "trap 'echo saved; exit 143' TERM", "echo begun", "for i in $(seq 200); do sleep 0.05; done")
    run.write_text("\n".join([*lines, "echo at its end", ""]))
    run.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(run))
    return ScoredRuns(tmp_path / "runs", "train.json", {}, "settings.json")


def test_asked_to_stop_it_lets_its_run_save(long_runs, monkeypatch):
    def stop(line: str, **_) -> None:
        if "begun" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("builtins.print", stop)
    with long_runs.locked(), pytest.raises(SystemExit) as end:
        long_runs.train_and_score("a", {})
    assert end.value.code == 143 and not long_runs.has_scores("a")
    assert (long_runs.model_dir("a") / "log.txt").read_text() == "begun\nsaved\n"


def test_asked_to_stop_while_a_run_is_being_started_it_does_not_wait_for_its_end(long_runs, monkeypatch):
    class Started(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Started)
    with long_runs.locked(), pytest.raises(SystemExit) as end:
        long_runs.train_and_score("a", {})
    assert end.value.code == 143 and not long_runs.has_scores("a")
    assert "at its end" not in (long_runs.model_dir("a") / "log.txt").read_text()


def test_a_folder_is_bound_to_its_settings_and_its_split(tmp_path):
    split = Split([Fold([0], [1], [2]), Fold([2, 1], [0], [])], ["p", "q", "r"], ["a.png", "b.png", "c.png"])
    runs = ScoredRuns(tmp_path, "train.json", {"seed": "1", "resume": "false"}, "settings.json")
    with pytest.raises(InputError, match="fold 1 of the split holds no image out to score; set another --split"):
        runs.remember(split, [0, 1])
    assert list(tmp_path.iterdir()) == []  # nothing is bound yet
    runs.remember(split, [0])
    assert json.loads((tmp_path / "settings.json").read_text()) == {"config_file": "train.json", "seed": "1"}
    other = Split([Fold([0], [2], [1])], split.groups, split.images)
    with pytest.raises(InputError, match="was begun with other images or groups; give another --output_dir"):
        runs.remember(other, [0])
    with ScoredRuns(tmp_path, "train.json", {"seed": "1"}, "settings.json").locked():
        pass
    with pytest.raises(InputError, match="was begun with seed 1, now it is 2; set it as it was to go on, or give ano"):
        with ScoredRuns(tmp_path, "train.json", {"seed": "2"}, "settings.json").locked():
            pass


def test_an_evaluation_is_told_what_it_needs_and_a_training_what_it_has(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(ScoredRuns, "_monai", lambda self, *words: told.append(words[:3]))
    knobs = {"seed": "1", "tolerance": "2", "images": "/data", "group": "p[0-9]+"}
    runs = ScoredRuns(tmp_path, "configs/train.json", knobs, "settings.json")
    runs.train_and_score("unet/seed_1", {"max_pixels": "99"}, overlays=["unet.json"])
    (training, files, of_training), (evaluating, more, of_evaluation) = told
    assert (training, evaluating) == ("training", "evaluating")
    assert files == ["configs/train.json", "unet.json"] and more == [*files, "configs/evaluate.json"]
    model, split = str(tmp_path / "unet" / "seed_1"), str(tmp_path / "split.json")
    common = {"ckpt_dir": model, "output_dir": str(tmp_path), "images": "/data", "max_pixels": "99"}
    training_alone = {"seed": "1", "group": "p[0-9]+", "split": split, "run_prefix": "unet_seed_1"}
    assert of_training == {**common, **training_alone}
    assert of_evaluation.pop("run_name").startswith("unet_seed_1_scores_")
    assert of_evaluation == {**common, "tolerance": "2", "scores_dir": f"{model}/evaluation"}
    assert runs.has_scores("unet/seed_1") and (tmp_path / "unet" / "seed_1" / "trained").is_file()


@pytest.mark.parametrize("device, visible", [(None, "0,1"), ("GPU-8f", "GPU-8f")])
def test_a_run_that_fails_is_named_with_its_log(device, visible, tmp_path, monkeypatch, capsys):
    program = tmp_path / "program"
    of_monai = "2026-01-02 03:04:05,678 - INFO - of MONAI"
    program.write_text(f"#!/bin/sh\necho on $CUDA_VISIBLE_DEVICES\necho '{of_monai}'\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    runs = ScoredRuns(tmp_path / "runs", "train.json", {}, "settings.json")
    log = tmp_path / "runs" / "a" / "log.txt"
    with runs.locked(), pytest.raises(RuntimeError) as failure:
        runs.train_and_score("a", {}, device=device)
    assert str(failure.value) == f"a failed in training; its output is in {log}; the same command resumes it"
    assert log.read_text() == f"on {visible}\n{of_monai}\n"
    assert capsys.readouterr().out == f"a | on {visible}\n"
    assert not (tmp_path / "runs" / "a" / "trained").exists()
