# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.checkpoints.model_folder import pending_model
from scripts.checkpoints.model_schema import PUBLISHED
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.training.best_model import SaveBestModel


def train(
    folder: Path, scores: list[float], run_name: str = "", best: tuple[float, int] = (-1, -1), **options: Any
) -> list[float]:
    """Validations with these scores, the first before epoch 1 if ``start`` is given; the weight saved after each.

    ``best`` are score and epoch that a training goes on with.
    """
    network = nn.Linear(1, 1, bias=False)
    engine = Engine(lambda engine, batch: None)
    engine.state.best_metric, engine.state.best_metric_epoch = best
    found = []

    @engine.on(Events.EPOCH_COMPLETED)
    def compare(engine):
        engine.state.epoch -= "start" in options
        score = scores[len(found)]
        nn.init.constant_(network.weight, score)
        if score > engine.state.best_metric:
            engine.state.best_metric, engine.state.best_metric_epoch = score, engine.state.epoch

    SaveBestModel(folder, network, {**PUBLISHED, "fold": 3}, run_name=run_name or str(scores), **options).attach(engine)

    @engine.on(Events.EPOCH_COMPLETED)
    def look(engine):
        engine.state.epoch += "start" in options
        found.append(weight(folder / "model.pt"))

    engine.run([0], max_epochs=len(scores))
    return found


def weight(path: Path) -> float:
    return round(float(torch.load(path, weights_only=True)["weight"]), 3)


def test_model_and_settings_are_those_of_the_best_validation(tmp_path):
    assert train(tmp_path, [0.5, 0.4, 0.6]) == [0.5, 0.5, 0.6]
    assert read_settings(tmp_path)["fold"] == 3
    (tmp_path / "model.pt").write_bytes(b"weights from elsewhere")
    with pytest.raises(InputError, match="model.json was written for another model than .*model.pt"):
        read_settings(tmp_path)


def test_the_model_of_an_earlier_training_is_kept_once_there_is_a_better_one(tmp_path):
    train(tmp_path, [0.3, 0.5])
    train(tmp_path, [0.4, 0.6])
    assert weight(tmp_path / "model.previous.pt") == 0.5 and weight(tmp_path / "model.pt") == 0.6


def test_a_training_that_goes_on_keeps_no_model_of_its_own_as_previous(tmp_path):
    train(tmp_path, [0.3], run_name="first")
    train(tmp_path, [0.5, 0.6], run_name="second")
    train(tmp_path, [0.7, 0.8], run_name="second")
    assert weight(tmp_path / "model.previous.pt") == 0.3 and weight(tmp_path / "model.pt") == 0.8


def test_a_training_that_finds_no_better_model_leaves_the_one_it_starts_from(tmp_path):
    train(tmp_path, [0.5])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert train(tmp_path, [0.5, 0.4, 0.2], start=tmp_path / "model.pt") == [0.5] * 3
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert train(tmp_path, [0.5, 0.4, 0.7], start=tmp_path / "model.pt") == [0.5, 0.5, 0.7]
    assert weight(tmp_path / "model.previous.pt") == 0.5


def test_a_training_from_another_folder_has_its_start_as_first_model(tmp_path):
    train(tmp_path / "a", [0.5])
    assert train(tmp_path / "b", [0.5, 0.4], start=tmp_path / "a" / "model.pt") == [0.5, 0.5]


def test_cut_off_between_model_and_settings(tmp_path, monkeypatch):
    train(tmp_path, [0.5])
    with monkeypatch.context() as cut:
        cut.setattr(Path, "replace", lambda self, target: cut_off(self, target))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, [0.7])
    assert weight(tmp_path / "model.pt") == 0.5 and pending_model(tmp_path).is_file()
    assert read_settings(tmp_path)["fold"] == 3
    assert weight(tmp_path / "model.pt") == 0.7 and not pending_model(tmp_path).exists()


@pytest.mark.parametrize("what", ["removed", "replaced", "as it was"])
def test_a_training_that_goes_on_looks_for_its_best_model(what, tmp_path, caplog):
    train(tmp_path, [0.3], run_name="this")
    model = tmp_path / "model.pt"
    if what == "removed":
        model.unlink()
    elif what == "replaced":
        train(tmp_path, [0.4], run_name="another")
    caplog.clear()
    found = train(tmp_path, [0.5, 0.6, 0.1], run_name="this", best=(0.55, 2))
    told = f"{model} is not there any more as this training wrote it; the next validation counts as the best"
    assert (told in caplog.text) == (what != "as it was")
    assert found == ([0.3, 0.6, 0.6] if what == "as it was" else [0.5, 0.6, 0.6])
    previous = tmp_path / "model.previous.pt"
    assert weight(previous) == 0.4 if what == "replaced" else not previous.is_file()


def cut_off(source: Path, target: Path) -> None:
    if source.name == ".model.pending.pt":
        raise KeyboardInterrupt
    os.replace(source, target)
