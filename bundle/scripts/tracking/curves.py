# SPDX-License-Identifier: Apache-2.0

"""Write the curves of a training to a CSV file."""

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
    """Write a CSV file with one line for each epoch.

    The columns are ``run``, ``epoch``, ``train_loss``, ``learning_rate`` and the scores of the validation. The learning
    rate is that of the epoch's first step. Scores are blank if the epoch was not validated. After each epoch the whole
    file is written again, first under another name, so that readers never see an incomplete file.

    Args:
        path: path of the file; its folder is created if missing. Only the first process of a job writes.
        validator: the evaluator used for validation.
        optimizer: the trainer's optimizer.
        run_name: name of the training's run, which the model's record holds too.
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
        # The condition is false if a resumed training continues in the middle of an epoch.
        if state.iteration == (state.epoch - 1) * state.epoch_length:
            self.learning_rate = self.optimizer.param_groups[0]["lr"]

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the trainer at the end of an epoch.
        """
        if idist.get_rank() > 0:
            return
        epoch, validation = engine.state.epoch, self.validator.state
        scores = validation.metrics if validation.epoch == epoch else {}
        values = {"train_loss": engine.state.metrics["train_loss"], "learning_rate": self.learning_rate, **scores}
        self.lines.append({"epoch": epoch, **{name: f"{value:.6g}" for name, value in values.items()}})
        columns = dict.fromkeys(name for line in self.lines for name in line)  # in the order of first occurrence
        rows = [[self.run_name, *(line.get(name, "") for name in columns)] for line in self.lines]
        write_csv(self.path, ["run", *columns], rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the lines written so far, and the learning rate of the current epoch."""
        return {"lines": self.lines, "learning_rate": self.learning_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the lines and the learning rate of a resumed training.

        Args:
            state: a result of ``state_dict``.
        """
        self.lines = [dict(line) for line in state["lines"]]
        self.learning_rate = state["learning_rate"]
