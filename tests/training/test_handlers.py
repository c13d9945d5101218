# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from torch import nn

from scripts.common.errors import InputError
from scripts.training.handlers import FreezeEncoder, ValidationHandler, WarnOfEmptyMasks


def encoder() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))


def train(network: nn.Module, epochs: int, frozen_epochs: int) -> list[dict[str, torch.Tensor]]:
    """Train for some epochs with the first part frozen; return that part's state after each."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    states = []

    def step(engine: Engine, batch: torch.Tensor) -> float:
        network.train()
        optimizer.zero_grad()
        loss = network(batch).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    trainer = Engine(step)
    FreezeEncoder(network[0], frozen_epochs).attach(trainer)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: states.append({k: v.clone() for k, v in network[0].state_dict().items()})
    )
    trainer.run([torch.randn(4, 1, 3, 3) for _ in range(2)], max_epochs=epochs)
    return states


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_a_frozen_encoder_keeps_weights_and_statistics_then_learns_both():
    torch.manual_seed(0)
    network = nn.Sequential(encoder(), nn.Conv2d(2, 1, 1))
    start = {k: v.clone() for k, v in network[0].state_dict().items()}
    states = train(network, epochs=3, frozen_epochs=2)
    assert changed(start, states[0]) == changed(start, states[1]) == set()
    assert changed(start, states[2]) >= {"0.weight", "1.weight", "1.running_mean", "1.running_var"}
    assert all(p.requires_grad for p in network.parameters())


def test_zero_epochs_freeze_nothing():
    torch.manual_seed(0)
    network = nn.Sequential(encoder(), nn.Conv2d(2, 1, 1))
    start = {k: v.clone() for k, v in network[0].state_dict().items()}
    assert "0.weight" in changed(start, train(network, epochs=1, frozen_epochs=0)[0])


def test_without_an_encoder_none_is_frozen():
    FreezeEncoder(None, 0).attach(Engine(lambda engine, batch: None))
    with pytest.raises(InputError, match="freeze_epochs is 5, but the network has no encoder to freeze; leave it out"):
        FreezeEncoder(None, 5)


@pytest.mark.parametrize(
    "interval, epochs, at_start, expected",
    [(1, 3, False, [1, 2, 3]), (2, 5, False, [2, 4, 5]), (10, 3, False, [3]), (2, 2, True, [0, 2])],
)
def test_validation_runs_every_interval_and_last(interval, epochs, at_start, expected):
    validator = SupervisedEvaluator("cpu", [{"image": torch.zeros(1, 1)}], nn.Identity(), decollate=False)
    validated = []
    validator.run = validated.append
    trainer = Engine(lambda engine, batch: None)
    ValidationHandler(interval, validator, exec_at_start=at_start).attach(trainer)
    trainer.run([0], max_epochs=epochs)
    assert validated == expected


def warned(predicted: list[bool], caplog, *, labeled: bool = True) -> list[tuple[int, str]]:
    """Train with one validation an epoch; return the epochs after which a warning came, and the warnings."""

    def maps(has_object: bool) -> torch.Tensor:
        one_hot = torch.zeros(3, 2, 2)
        one_hot[2 if has_object else 0] = 1
        return one_hot

    validator = Engine(lambda engine, batch: batch)
    trainer = Engine(lambda engine, batch: None)
    WarnOfEmptyMasks(validator).attach(trainer)
    epochs = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        has_object = predicted[engine.state.epoch - 1]
        images = [{"pred": maps(has_object and i == 1), "label": maps(labeled and i == 2)} for i in range(4)]
        before = len(caplog.messages)
        validator.run([images[:2], images[2:]])
        epochs.extend([engine.state.epoch] * (len(caplog.messages) - before))

    caplog.clear()
    with caplog.at_level("WARNING", logger="qtseg"):
        trainer.run([0], max_epochs=len(predicted))
    epochs += [len(predicted)] * (len(caplog.messages) - len(epochs))
    return list(zip(epochs, caplog.messages))


def test_a_training_warns_while_all_predicted_masks_are_empty(caplog):
    cure = (
        "if this goes on, train longer (--max_epochs), try another --learning_rate, enlarge --spatial_size or set "
        "--geometry native for small objects, and look at the masks"
    )
    warnings = warned([False] * 9, caplog)
    assert [(epoch, text.partition(";")[0]) for epoch, text in warnings] == [
        (epoch, f"WARNING: no object was predicted in any image of the last {count} validations")
        for epoch, count in ((4, 4), (8, 8), (9, 9))
    ]
    assert all(text.endswith(f"; {cure}") for _, text in warnings)
    ((epoch, text),) = warned([False], caplog)
    assert epoch == 1 and "of the last 1 validation;" in text
    assert [epoch for epoch, _ in warned([True, *[False] * 5, True], caplog)] == [5]  # after the collapse only
    assert warned([False, False, False, True], caplog) == []


def test_empty_masks_are_right_where_all_labels_are_empty(caplog):
    assert warned([False] * 9, caplog, labeled=False) == []
