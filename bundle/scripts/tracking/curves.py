# SPDX-License-Identifier: Apache-2.0

"""The curves of a training as a table that any program can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.optim import Optimizer

from ..common.files import write_csv

__all__ = ["SaveCurves"]


class SaveCurves:
    """Write a CSV file with a line an epoch.

    Its columns are ``run``, ``epoch``, ``train_loss``, ``learning_rate`` and the validation's scores. The learning rate
    is the one that the epoch's first step was trained with. Scores are blank where an epoch was not validated. The file
    is written anew after each epoch, under another name first, so that a reader never meets half of it.

    Args:
        path: the file; its folder is made if missing. Only the first process of a job writes.
        validator: the evaluator used for validation.
        optimizer: the trainer's optimizer.
        run_name: of the training, which its model has on record too.
    """

    def __init__(
        self, path: str | os.PathLike, *, validator: Evaluator, optimizer: Optimizer, run_name: str
    ) -> None:
        self.path = Path(path)
        self.run_name = run_name
        self.validator = validator
        self.optimizer = optimizer
        self.learning_rate = 0.0
        self.lines: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Register with a trainer that has a metric ``train_loss``, after the handler that validates.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.STARTED, self._clear)
        engine.add_event_handler(Events.EPOCH_STARTED, self._note_learning_rate)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _clear(self) -> None:
        self.lines = []

    def _note_learning_rate(self, engine: Engine) -> None:
        state = engine.state
        assert state.epoch_length is not None
        if state.iteration == (state.epoch - 1) * state.epoch_length:  # else a training goes on within the epoch
            self.learning_rate = self.optimizer.param_groups[0]["lr"]

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the trainer, its epoch complete.
        """
        if idist.get_rank() > 0:
            return
        epoch, validated = engine.state.epoch, self.validator.state
        scores = validated.metrics if validated.epoch == epoch else {}
        values = {"train_loss": engine.state.metrics["train_loss"], "learning_rate": self.learning_rate, **scores}
        self.lines.append({"epoch": epoch, **{name: f"{value:.6g}" for name, value in values.items()}})
        columns = dict.fromkeys(name for line in self.lines for name in line)  # in the order of their first line
        rows = [[self.run_name, *(line.get(name, "") for name in columns)] for line in self.lines]
        write_csv(self.path, ["run", *columns], rows)

    def state_dict(self) -> dict[str, Any]:
        """The lines so far, and the learning rate that the next one will tell."""
        return {"lines": self.lines, "learning_rate": self.learning_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.lines = [dict(line) for line in state["lines"]]
        self.learning_rate = state["learning_rate"]
