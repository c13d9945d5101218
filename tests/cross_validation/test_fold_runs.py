# SPDX-License-Identifier: Apache-2.0

"""One fold after the other in a folder, whatever cuts them off."""

from __future__ import annotations

import pytest

from scripts.cross_validation.fold_runs import FoldRuns


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


def test_a_fold_has_a_folder_and_a_knob_of_its_number(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(FoldRuns, "_monai", lambda self, run_id, files, knobs, *_: told.append(knobs))
    runs = FoldRuns(tmp_path, "train.json", {"seed": "5"})
    runs.run(3, device=None, parent_run="abc")
    assert runs.model(3) == tmp_path / "fold_3" and runs.evaluation(3) == tmp_path / "fold_3" / "evaluation"
    of_training, of_evaluation = told
    assert (of_training["fold"], of_training["parent_run"], of_training["seed"]) == ("3", "abc", "5")
    assert "fold" not in of_evaluation and of_evaluation["parent_run"] == "abc"
    assert of_training["ckpt_dir"] == of_evaluation["ckpt_dir"] == str(tmp_path / "fold_3")
