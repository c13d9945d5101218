# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
from types import SimpleNamespace

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.tracking.curves import SaveCurves


def train(path, epochs: int, *, validated: dict[int, dict[str, float]], runs: int = 1) -> list[list[str]]:
    """Train for some epochs, at a learning rate that is halved after each; return the table after each."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    validator = SimpleNamespace(state=SimpleNamespace(epoch=0, metrics={}))
    trainer, seen = Engine(lambda engine, batch: None), []

    @trainer.on(Events.EPOCH_COMPLETED)
    def complete(engine):
        epoch = engine.state.epoch
        engine.state.metrics["train_loss"] = 1 / epoch
        optimizer.param_groups[0]["lr"] /= 2
        if epoch in validated:
            validator.state = SimpleNamespace(epoch=epoch, metrics=validated[epoch])

    SaveCurves(path, validator=validator, optimizer=optimizer, run_name="train_1").attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: seen.append(path.read_text() if path.exists() else ""))
    for _ in range(runs):
        trainer.run([0], max_epochs=epochs)
    return [list(csv.reader(text.splitlines())) for text in seen]


def test_each_epoch_adds_a_line_with_the_rate_it_was_trained_with(tmp_path):
    scores = {2: {"val_dice": 0.5, "val_iou": 1 / 3}, 4: {"val_dice": 0.75, "val_iou": 0.6}}
    tables = train(tmp_path / "made" / "curves.csv", 4, validated=scores)
    assert tables[0] == [["run", "epoch", "train_loss", "learning_rate"], ["train_1", "1", "1", "0.1"]]
    assert tables[-1] == [
        ["run", "epoch", "train_loss", "learning_rate", "val_dice", "val_iou"],
        ["train_1", "1", "1", "0.1", "", ""],
        ["train_1", "2", "0.5", "0.05", "0.5", "0.333333"],
        ["train_1", "3", "0.333333", "0.025", "", ""],  # no validation: the last one is not repeated
        ["train_1", "4", "0.25", "0.0125", "0.75", "0.6"],
    ]
    assert [len(table) for table in tables] == [2, 3, 4, 5]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["curves.csv"]


def test_a_second_training_starts_a_new_table(tmp_path):
    tables = train(tmp_path / "curves.csv", 2, validated={}, runs=2)
    assert [line[1] for line in tables[-1]] == ["epoch", "1", "2"]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    assert train(tmp_path / "curves.csv", 1, validated={}) == [[]]
