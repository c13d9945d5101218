# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import mlflow
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image

from scripts.image_io.pictures import PALETTE
from scripts.tracking.mlflow_handlers import RunTracker, ValidationTracker
from scripts.tracking.mlflow_setup import sqlite_uri


@pytest.fixture
def store(tmp_path) -> dict[str, str]:
    uri = sqlite_uri(tmp_path / "mlruns.db")
    return {"tracking_uri": uri, "experiment_name": "qtseg", "run_name": "train_1"}


def runs(store) -> list:
    client = mlflow.MlflowClient(store["tracking_uri"])
    return client.search_runs([client.get_experiment_by_name("qtseg").experiment_id])


def test_a_run_that_fails_is_marked_so_and_the_error_goes_on(store):
    def step(engine, batch):
        raise ValueError("out of luck")

    trainer = Engine(step)
    RunTracker(**store, iteration_log=False).attach(trainer)
    with pytest.raises(ValueError, match="out of luck"):
        trainer.run([0], max_epochs=1)
    assert [run.info.status for run in runs(store)] == ["FAILED"]


def test_names_that_are_no_unicode_are_logged_as_text(store):
    trainer = Engine(lambda engine, batch: None)
    params = {"dataset_dir": os.fsdecode(b"/caf\xe9"), "layout": "größe", "fold": 0}
    RunTracker(**store, iteration_log=False, experiment_param=params).attach(trainer)
    trainer.run([0], max_epochs=1)
    (run,) = runs(store)
    assert {name: run.data.params[name] for name in params} == {
        "dataset_dir": r"/caf\udce9", "layout": "größe", "fold": "0"
    }


def test_validation_joins_the_run_with_scores_and_pictures(store, tmp_path):
    onehot = torch.stack([torch.zeros(6, 8), torch.ones(6, 8)])
    trainer = Engine(lambda engine, batch: None)
    validator = Engine(lambda engine, batch: [{"image": torch.rand(3, 6, 8), "label": onehot, "pred": onehot}] * 2)
    tracker = ValidationTracker(
        tmp_path / "pictures", picture_interval=2, num_pictures=3, iteration_log=False, **store
    )
    tracker.attach(validator)

    @validator.on(Events.EPOCH_COMPLETED)
    def score(engine):
        engine.state.metrics["val_dice"] = 0.5

    RunTracker(**store, iteration_log=False, close_on_complete=True).attach(trainer)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine):
        validator.state.epoch, validator.state.max_epochs = engine.state.epoch - 1, engine.state.epoch
        validator.run([0, 1])

    trainer.run([0], max_epochs=4)
    (run,) = runs(store)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"max_epochs": "4", "epoch_length": "1"}  # the trainer's, not the validator's
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["validation_epoch_0001.png", "validation_epoch_0003.png"]
    logged = mlflow.MlflowClient(store["tracking_uri"]).list_artifacts(run.info.run_id, "validation")
    assert [item.path.rsplit("/", 1)[1] for item in logged] == pictures
    with Image.open(tmp_path / "pictures" / pictures[0]) as picture:
        assert np.asarray(picture).shape == (3 * 10, 3 * 12, 3)


def test_examples_are_shrunk_in_pictures_and_have_sizes_of_their_own(store, tmp_path):
    def example(height: int, width: int) -> dict[str, torch.Tensor]:
        onehot = torch.zeros(3, height, width)
        onehot[0, : height // 2], onehot[2, height // 2 :] = 1, 1
        return {"image": torch.zeros(3, height, width), "label": onehot, "pred": onehot}

    validator = Engine(lambda engine, batch: [example(*batch)])
    tracker = ValidationTracker(tmp_path, iteration_log=False, **store)
    tracker.attach(validator)
    validator.state.epoch = 0
    validator.run([(1024, 600), (64, 512), (1, 2000)])
    with Image.open(tmp_path / "validation_epoch_0001.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == ((512 + 4) + (64 + 4) + (1 + 4), 3 * (512 + 4), 3)
    assert pixels[255, 304].tolist() == [0, 0, 0] and pixels[256, 304].tolist() == PALETTE[2].tolist()
    assert (pixels[:512, 3 * (300 + 4) :] == 255).all()
