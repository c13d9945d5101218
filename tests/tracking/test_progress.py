# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import re
import time
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from scripts.data.splits.split import Fold, Split
from scripts.tracking.progress import DataTime, EpochLine, describe_end, describe_start
from workflows import BUNDLE

HYPERPARAMETERS = {"fold": 1, "protocol": "held-out", "out_channels": 2, "precision": "float32", "batch_size": 8}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="qtseg")
    return caplog


def test_the_start_says_what_was_found(log):
    split = Split([Fold([0], [1], [2])] * 5, [], ["a", "b", "c"])
    describe_start(
        source="my_data",
        train_data=[{}] * 8,
        val_data=[{}] * 2,
        test_data=[{}] * 3,
        split=split,
        network=nn.Linear(10, 100),
        device=torch.device("cpu"),
        hyperparameters=HYPERPARAMETERS,
    )
    counts = "my_data: 8 images to train, 2 to choose the epoch, 3 to score (fold 1 of 5, split "
    for text in (counts + split.digest, "held-out protocol", "1,100 parameters", "2 classes", "cpu", "batch_size 8"):
        assert text in log.text


@pytest.mark.parametrize("fetch, step, least, most", [(0.02, 0.002, 70, 100), (0.001, 0.02, 0, 30)])
def test_the_first_epoch_says_what_part_of_it_was_waiting(fetch, step, least, most, log):
    def batches():
        for batch in range(12):
            time.sleep(fetch)
            yield batch

    trainer = Engine(lambda engine, batch: time.sleep(step))
    DataTime().attach(trainer)
    trainer.run(batches(), max_epochs=2, epoch_length=6)
    (record,) = log.records
    share = int(re.search(r"(\d+)% of the first epoch", record.getMessage())[1])
    assert least <= share <= most
    assert ("num_workers" in record.getMessage()) is (share > 10)


def epoch_line(log, validated_epoch: int) -> str:
    validator = SimpleNamespace(
        state=SimpleNamespace(
            epoch=validated_epoch,
            metrics={"val_dice": 0.75},
            best_metric=0.8,
            best_metric_epoch=2,
            times={"COMPLETED": 1.0},
        )
    )
    state = SimpleNamespace(epoch=4, max_epochs=9, metrics={"train_loss": 0.5}, times={"EPOCH_COMPLETED": 2.0})
    EpochLine(validator, SimpleNamespace(learning_rate=0.01))(SimpleNamespace(state=state))
    (record,) = log.records
    return record.getMessage()


def test_an_epoch_is_one_line(log):
    line = epoch_line(log, validated_epoch=4)
    assert line.split() == (
        "epoch 4/9 loss 0.5000 val_dice 0.7500 (best 0.8000, epoch 2) lr 1.0e-02 3.0 s".split()
    )  # fmt: skip


def test_an_epoch_without_validation_repeats_no_old_score(log):
    line = epoch_line(log, validated_epoch=2)
    assert "val_dice" not in line and line.endswith("2.0 s")


def test_the_end_says_where_everything_is_and_how_to_look_at_it(log, monkeypatch):
    monkeypatch.chdir(BUNDLE)
    validator = SimpleNamespace(state=SimpleNamespace(best_metric=0.912, best_metric_epoch=7))
    places = {
        "network_name": "qtseg",
        "test_data": [{}],
        "ckpt_dir": "the_models",
        "output_dir": "the results",
        "run_dir": "the results/run",
        "tracking_uri": "sqlite:///x.db",
    }
    describe_end(validator=validator, **places)
    for text in ("0.9120 at epoch 7", "the_models/model.pt", "the results/run", "mlflow ui", "sqlite:///x.db"):
        assert text in log.text
    assert "--logdir 'the results'" in log.text and "--ckpt_dir the_models" in log.text
    assert "Otsu" not in log.text
    describe_end(validator=validator, otsu_dice=0.701, **places)
    assert "0.7010" in log.text and "synthetic" in log.text
    log.clear()
    describe_end(validator=validator, **{**places, "network_name": "unet", "test_data": []})
    assert "scores:" not in log.text  # of what was held out
    assert "inferring --config_file \"['configs/inference.json', 'configs/networks/unet.json']\" --data" in log.text
    monkeypatch.chdir(BUNDLE.parent)
    log.clear()
    describe_end(validator=validator, **places)
    assert "inferring --config_file bundle/configs/inference.json --bundle_root bundle --dataset_dir IM" in log.text


def test_a_start_that_nothing_was_better_than_is_told(log):
    validator = SimpleNamespace(state=SimpleNamespace(best_metric=0.9, best_metric_epoch=0))
    places = {"ckpt_dir": "m", "output_dir": "o", "run_dir": "o/r", "tracking_uri": "http://127.0.0.1:5000"}
    describe_end(validator=validator, network_name="qtseg", test_data=[], **places)
    assert "no epoch was better than the start, whose validation Dice is 0.9000" in log.text


def test_a_server_is_shown_as_it_is(log):
    validator = SimpleNamespace(state=SimpleNamespace(best_metric=0.9, best_metric_epoch=7))
    places = {"ckpt_dir": "m", "output_dir": "o", "run_dir": "o/r", "tracking_uri": "http://127.0.0.1:5000"}
    describe_end(validator=validator, network_name="qtseg", test_data=[{}], **places)
    assert "http://127.0.0.1:5000" in log.text and "mlflow ui" not in log.text
