# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine

from scripts.evaluation.calibration import Calibration


def item(probability: list[float], true: list[int]) -> dict[str, torch.Tensor]:
    """One row of pixels with the foreground's probability, and where it is."""
    foreground, there = torch.tensor([probability]), torch.tensor([true]).float()
    return {
        "probability": torch.stack([1 - foreground, foreground]),
        "original_label": torch.stack([1 - there, there]),
    }


def calibrate(folder, *batches: list[dict[str, torch.Tensor]], runs: int = 1) -> dict:
    engine = Engine(lambda engine, batch: batch)
    Calibration(folder / "made").attach(engine)
    for _ in range(runs):
        engine.run(list(batches))
    return json.loads((folder / "made" / "calibration.json").read_text())


def test_pixels_are_counted_by_their_probability(tmp_path):
    first = item([0.0, 0.04, 0.02, 0.5], [0, 0, 1, 1])
    second = item([1.0, 0.95, 0.48], [1, 0, 0])  # of another size
    report = calibrate(tmp_path, [first, second])
    bins = report["bins"]
    assert [(each["low"], each["high"]) for each in bins[:2]] == [(0, 1 / 15), (1 / 15, 2 / 15)] and len(bins) == 15
    assert {i: each["count"] for i, each in enumerate(bins) if each["count"]} == {0: 3, 7: 2, 14: 2}
    assert bins[0]["mean_probability"] == pytest.approx(0.02) and bins[0]["frequency"] == pytest.approx(1 / 3)
    assert bins[7]["mean_probability"] == pytest.approx(0.49) and bins[7]["frequency"] == 0.5
    assert bins[14]["mean_probability"] == pytest.approx(0.975) and bins[14]["frequency"] == 0.5
    assert bins[3]["mean_probability"] is None and bins[3]["frequency"] is None
    gaps = [1 / 3 - 0.02, 0.5 - 0.49, 0.975 - 0.5]
    error = (3 * gaps[0] + 2 * gaps[1] + 2 * gaps[2]) / 7
    assert report["expected_calibration_error"] == pytest.approx(error)
    assert report["expected_calibration_error_above_first_bin"] == pytest.approx((gaps[1] + gaps[2]) / 2)


def test_batches_add_up_and_a_second_run_starts_anew(tmp_path):
    batch = [item([0.3, 0.7], [0, 1])]
    bins = calibrate(tmp_path, batch, batch, runs=2)["bins"]
    assert sum(each["count"] for each in bins) == 4


def test_every_foreground_class_counts_but_not_the_background(tmp_path):
    probability = torch.tensor([0.5, 0.3, 0.2]).reshape(3, 1, 1)
    label = torch.tensor([0.0, 1.0, 0.0]).reshape(3, 1, 1)
    bins = calibrate(tmp_path, [{"probability": probability, "original_label": label}])["bins"]
    counted = [(round(each["mean_probability"], 4), each["frequency"]) for each in bins if each["count"]]
    assert counted == [(0.2, 0.0), (0.3, 1.0)]


def test_probabilities_that_are_no_numbers_are_counted_apart(tmp_path):
    report = calibrate(tmp_path, [item([0.3, float("nan")], [1, 0])])
    assert report["num_not_finite"] == 1 and sum(each["count"] for each in report["bins"]) == 1


def test_nothing_above_the_first_bin_has_no_error(tmp_path):
    report = calibrate(tmp_path, [item([0.01, 0.02], [0, 0])])
    assert report["expected_calibration_error"] == pytest.approx(0.015)
    assert report["expected_calibration_error_above_first_bin"] is None


def test_processes_add_up_and_the_first_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "all_reduce", lambda sums: 2 * sums)
    bins = calibrate(tmp_path, [item([0.3], [1])])["bins"]
    assert sum(each["count"] for each in bins) == 2
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    with pytest.raises(FileNotFoundError):
        calibrate(tmp_path / "other", [item([0.3], [1])])
