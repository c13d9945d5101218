# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import pytest
from monai.bundle import ConfigParser
from torch import nn

from trainings import assert_same_end, cut_off, train
from workflows import CONFIGS, train_small


def learning_rates(folder: Path) -> list[float]:
    with open(folder / "models" / "curves.csv", newline="") as file:
        return [float(line["learning_rate"]) for line in csv.DictReader(file)]


def test_one_cycle_is_what_a_training_does_by_itself():
    own = ConfigParser(json.loads((CONFIGS / "train.json").read_text()))
    for name, value in json.loads((CONFIGS / "recipes" / "one_cycle.json").read_text()).items():
        assert own[name] == value


def test_the_paper_halves_the_learning_rate_by_epochs():
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.json", CONFIGS / "recipes" / "paper.json"])
    parser.update({"network": nn.Linear(1, 1), "max_epochs": 21, "min_learning_rate": 0.0001, "freeze_epochs": 0})
    scheduler = parser.get_parsed_content("train#lr_scheduler")
    rates = []
    for _ in range(21):
        rates += scheduler.get_last_lr()
        scheduler.optimizer.step()
        scheduler.step()
    expected = [0.001 / 2**halvings for halvings in (0, 1, 2, 3) for _ in range(3)] + [0.0001] * 9
    assert rates == pytest.approx(expected)  # as 350 epochs are halved each 50
    assert parser.get_parsed_content("hyperparameters")["learning_rate_step"] == 3


KNOBS = {"max_epochs": 4, "learning_rate": 0.002}


def test_the_learning_rate_changes_by_steps(blobs, tmp_path):
    """At the start of an epoch it lies on one curve up and down."""
    train_small(tmp_path, blobs, batch_size=2, **KNOBS)
    rates = learning_rates(tmp_path)
    assert rates[0] == pytest.approx(0.002 / 25)  # of which it starts with a 25th
    assert rates[0] < rates[1] > rates[2] > rates[3] > 0 and rates[1] > 0.0015


@pytest.mark.battery
def test_the_learning_rate_goes_on_where_it_was(blobs, tmp_path):
    """It does so after an interruption within an epoch, too."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    train(whole, blobs, **KNOBS)
    cut_off(cut, blobs, "epoch   2/4", signal.SIGTERM, **KNOBS)
    assert "going on from epoch" in train(cut, blobs, **KNOBS)
    assert_same_end(whole, cut)
