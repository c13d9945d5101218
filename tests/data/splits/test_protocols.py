# SPDX-License-Identifier: Apache-2.0

"""What is scored, and under which protocol; through the configs, as users run them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest

from images import write_blobs
from scripts.common.errors import InputError
from scripts.common.score_table import PAPER, SCORES
from scripts.data.splits.protocols import protocol_of
from scripts.evaluation.scores import read_scores
from workflows import run


def test_evaluation_scores_what_was_held_out_at_original_size(trained, blobs, tmp_path, capsys):
    run("train", "evaluate", ckpt_dir=str(trained.ckpt_dir), output_dir=str(tmp_path))
    assert "WARNING" not in capsys.readouterr().out
    rows = list(read_scores(tmp_path / "evaluation").values())
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    held_out = [image for image in trained.settings["images"].values() if image["part"] == "test"]
    assert [row["group"] for row in rows] == [image["group"] for image in held_out]
    plain, paper = summary["protocols"]
    assert plain["protocol"].startswith("held-out protocol") and "original size" in plain["protocol"]
    assert "paper's scoring" in paper["protocol"]
    assert list(paper["scores"]) == [row.name for row in SCORES if row.paper is not None]
    assert {"dice", "iou", "mae", "accuracy"} <= set(paper["scores"])
    assert list(plain["scores"]) == [row.name for row in SCORES]
    for name, value in plain["scores"].items():
        assert np.mean([float(row[name]) for row in rows]) == pytest.approx(value["mean"], abs=1e-5)
        assert value["low"] <= value["mean"] <= value["high"]
    assert summary["fold"] == 0 and summary["num_images"] == 3 and summary["classes"][0]["images"] == 3


def test_scores_of_all_images_come_with_a_warning(trained, tmp_path, capsys):
    run("train", "evaluate", ckpt_dir=str(trained.ckpt_dir), output_dir=str(tmp_path), part="all")
    assert "trained on 8 of the 11 images" in capsys.readouterr().out
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary["num_images"] == 11 and "some were trained on" in summary["protocols"][0]["protocol"]


def test_another_dataset_is_scored_as_a_whole(trained, tmp_path):
    write_blobs(tmp_path / "other", 4, seed=7)
    run(
        *("train", "evaluate"),
        ckpt_dir=str(trained.ckpt_dir),
        output_dir=str(tmp_path),
        dataset_dir=str(tmp_path / "other"),
    )
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary["num_images"] == 4 and summary["protocols"][0]["protocol"].startswith("external images")


def test_images_of_the_training_are_known_in_another_folder(trained, blobs, tmp_path, capsys):
    moved = shutil.copytree(blobs, tmp_path / "moved")

    def evaluate():
        run("train", "evaluate", ckpt_dir=str(trained.ckpt_dir), output_dir=str(tmp_path), dataset_dir=str(moved))
        summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
        return summary["num_images"], summary["protocol"], summary["seen_in_training"]

    assert evaluate() == (3, "held-out", 0)
    held_out = next(name for name, image in trained.settings["images"].items() if image["part"] == "test")
    (moved / held_out).unlink()
    (moved / "masks" / f"{Path(held_out).stem}.png").unlink()
    assert evaluate() == (10, "all", 8)  # another dataset, of images that the model has seen
    assert "trained on 8 of the 10 images" in capsys.readouterr().out


def test_the_paper_protocol_chooses_the_epoch_of_each_score_on_the_fold(blobs, tmp_path):
    folders = {"ckpt_dir": str(tmp_path / "models"), "output_dir": str(tmp_path / "eval")}
    small = {"spatial_size": [64, 64], "batch_size": 4, "max_epochs": 3}
    run("train", "paper_protocol", run_id="training", dataset_dir=str(blobs), **folders, **small)
    (path,) = (tmp_path / "eval").glob("train_*/paper_scores.json")
    best = json.loads(path.read_text())
    assert set(best) == {f"{PAPER}{row.name}" for row in SCORES if row.paper is not None}
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'eval' / 'mlruns.db'}")
    (run_,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    for name, choose in (("paper_dice", max), ("paper_mae", min)):
        history = [metric.value for metric in client.get_metric_history(run_.info.run_id, name)]
        assert len(history) == 3 and best[name]["value"] == pytest.approx(choose(history))
    split = json.loads(next((tmp_path / "eval").glob("train_*/split.json")).read_text())["folds"][0]
    assert split["validate"] == split["test"]


def test_scores_are_read_by_the_protocol_that_the_summary_names():
    assert protocol_of({"protocol": "paper"}).text.startswith("paper protocol: the epoch was chosen on the scored")
    with pytest.raises(InputError, match="summary.json of a/b names no protocol, but None; evaluate again"):
        protocol_of({"images": "a/b"})
