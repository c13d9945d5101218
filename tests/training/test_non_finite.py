# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import logging
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.losses import DiceCELoss
from torch import nn

from scripts.common.errors import InputError
from scripts.evaluation.metrics import FiniteAverage
from scripts.training.non_finite import SkipNonFinite
from workflows import causes, run, train_small

PATHS = [{"image": f"/data/{name}.png"} for name in "abcdefgh"]


def train(network: nn.Module, broken: set[int], epochs: int = 1, handlers: Sequence[Any] = ()) -> SupervisedTrainer:
    """One step an image, some of which are infinite."""
    torch.manual_seed(0)
    batches = []
    for i in range(len(PATHS)):
        image = torch.rand(1, 1, 4, 4)
        image[0, 0, 1, 1] = torch.inf if i in broken else 0.5
        batches.append({"image": image, "label": torch.ones(1, 1, 4, 4), "index": torch.tensor([i])})
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.1, fused=True),
        loss_function=nn.MSELoss(),
        train_handlers=[SkipNonFinite(network, PATHS), *handlers],
        key_train_metric={"loss": FiniteAverage(output_transform=lambda output: float(output[0]["loss"]))},
        decollate=True,
    )
    trainer.logger.setLevel(logging.CRITICAL)
    trainer.run()
    return trainer


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))


def test_steps_that_are_not_finite_are_skipped_and_told(caplog):
    found = network()
    with caplog.at_level(logging.WARNING, "qtseg"):
        trainer = train(found, {2, 5, 6})
    told = [record.message for record in caplog.records if record.name == "qtseg"]
    assert told == [
        f"loss or gradients of epoch 1, step {i + 1} are not finite; images: {PATHS[i]['image']}; the step is skipped"
        for i in (2, 5, 6)
    ]
    assert all(torch.isfinite(each).all() for each in found.state_dict().values())
    assert 0 < trainer.state.metrics["loss"] < 10


def test_a_network_without_statistics_is_guarded_too():
    torch.manual_seed(1)
    found = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.InstanceNorm2d(2), nn.Conv2d(2, 1, 1))
    before = found[0].weight.clone()
    train(found, {3})
    assert torch.isfinite(found[0].weight).all() and not torch.equal(found[0].weight, before)


def test_an_epoch_without_a_finite_step_has_no_mean():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.PATHS", PATHS[:2])
        trainer = train(network(), {0, 1})
    assert math.isnan(trainer.state.metrics["loss"])


def test_a_training_that_goes_on_keeps_the_statistics_it_goes_on_with():
    found = network()

    class Loads:
        def attach(self, engine):
            engine.add_event_handler(Events.STARTED, lambda: found[1].running_mean.fill_(5.0))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.PATHS", PATHS[:1])
        train(found, {0}, handlers=[Loads()])
    assert found[1].running_mean.tolist() == [5.0, 5.0]


class FiniteOnce(DiceCELoss):
    """Of one step only."""

    steps = 0

    def forward(self, *args: Any) -> torch.Tensor:
        self.steps += 1
        return super().forward(*args) * (1.0 if self.steps == 1 else torch.nan)


def test_a_training_survives_an_epoch_without_a_finite_step(blobs, tmp_path):
    train_small(tmp_path, blobs, max_epochs=3, **{"train#loss#_target_": f"{__name__}.FiniteOnce"})  # a step an epoch
    with open(tmp_path / "models" / "curves.csv") as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert math.isfinite(losses[0]) and all(map(math.isnan, losses[1:])) and len(losses) == 3
    run("train", "evaluate", ckpt_dir=str(tmp_path / "models"), output_dir=str(tmp_path / "eval"))
    page = (tmp_path / "eval" / "evaluation" / "report.html").read_text()
    assert "polyline" in page and not re.search(r"""[" ,>]nan[" ,<]""", page)


def test_what_was_skipped_leaves_no_trace():
    torch.manual_seed(0)
    spoiled, never = network(), network()
    train(spoiled, {7})
    state: dict[str, Any] = {}
    original = SkipNonFinite.__call__

    def note(self, engine):
        if engine.state.iteration == 8:
            state.update({key: value.clone() for key, value in self.network.state_dict().items()})
        original(self, engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SkipNonFinite, "__call__", note)
        train(never, set())
    for key, value in spoiled.state_dict().items():
        if "weight" in key or "bias" in key:
            assert torch.equal(value, state[key]), key


def test_three_in_a_row_stop_the_training():
    with pytest.raises(InputError, match="epoch 1, step 4 are not finite; images: /data/d.png; so were those of"):
        train(network(), {1, 2, 3})


@pytest.mark.parametrize("names, knob, value", [
    (("train", "evaluate"), "color_space", "YCrCb"), (("train", "evaluate"), "split", "nowhere.json"),
    (("inference",), "color_space", "YCrCb"),
])
def test_a_model_is_used_as_it_was_trained(names, knob, value, trained, blobs, tmp_path):
    places = {"dataset_dir": str(blobs), "ckpt_dir": str(trained.ckpt_dir), "output_dir": str(tmp_path)}
    with pytest.raises(RuntimeError) as failure:
        run(*names, **places, **{knob: value})
    (error,) = {str(each) for each in causes(failure.value) if isinstance(each, InputError)}
    assert error.startswith(f"{knob} is '{value}', but the model was trained with {trained.settings[knob]!r}")
    assert not list(tmp_path.glob("*.png"))
