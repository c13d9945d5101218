# SPDX-License-Identifier: Apache-2.0

"""One fold after the other in a folder, whatever cuts them off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from scripts.common.errors import InputError
from scripts.cross_validation.fold_runs import FoldRuns


def test_a_folder_serves_one_cross_validation_at_a_time(tmp_path):
    with FoldRuns(tmp_path, "train.json", {}).locked():
        with pytest.raises(InputError, match="is in use by another such command; wait for it or stop it"):
            with FoldRuns(tmp_path, "train.json", {}).locked():
                pass


def test_a_fold_that_was_cut_off_while_it_was_scored_is_only_scored(tmp_path, monkeypatch):
    done: list[str] = []

    def run(self, run_id, *others):
        done.append(run_id)
        if done == ["training", "evaluating"]:
            raise KeyboardInterrupt

    monkeypatch.setattr(FoldRuns, "_monai", run)
    runs = FoldRuns(tmp_path, "train.json", {})
    with pytest.raises(KeyboardInterrupt):
        runs.run(0, device=None, parent_run="a")
    assert not runs.is_done(0)
    runs.run(0, device=None, parent_run="a")
    assert runs.is_done(0) and done == ["training", "evaluating", "evaluating"]


@pytest.fixture
def long_runs(tmp_path, monkeypatch) -> FoldRuns:
    """Runs of a program that says how it has ended."""
    fold = tmp_path / "fold"
    lines = ("#!/bin/sh", "trap 'echo saved; exit 143' TERM", "echo begun", "for i in $(seq 200); do sleep 0.05; done")
    fold.write_text("\n".join([*lines, "echo at its end", ""]))
    fold.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fold))
    return FoldRuns(tmp_path / "cv", "train.json", {})


def test_asked_to_stop_it_lets_its_fold_save(long_runs, monkeypatch):
    def stop(line: str, **_) -> None:
        if "begun" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("builtins.print", stop)
    with long_runs.locked(), pytest.raises(SystemExit) as end:
        long_runs.run(0, device=None, parent_run="a")
    assert end.value.code == 143 and not long_runs.is_done(0)
    assert (long_runs.model(0) / "log.txt").read_text() == "begun\nsaved\n"


def test_asked_to_stop_while_a_fold_is_being_started_it_does_not_wait_for_its_end(long_runs, monkeypatch):
    class Started(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Started)
    with long_runs.locked(), pytest.raises(SystemExit) as end:
        long_runs.run(0, device=None, parent_run="a")
    assert end.value.code == 143 and not long_runs.is_done(0)
    assert "at its end" not in (long_runs.model(0) / "log.txt").read_text()
