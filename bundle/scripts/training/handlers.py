# SPDX-License-Identifier: Apache-2.0

"""Handlers of the training loop that MONAI and ignite lack."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai.handlers
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..common.score_table import lower_is_better, parse_name

__all__ = ["BestScores", "EarlyStopping", "FreezeEncoder", "ValidationHandler"]

_logger = logging.getLogger("qtseg")


class FreezeEncoder:
    """Keep a pretrained encoder as it is for the first epochs: neither weights nor BatchNorm statistics change.

    The published run freezes an encoder that starts from pretrained weights for 50 epochs (paper, section on training).

    Args:
        encoder: the part of the network to freeze; None where it has none.
        epochs: number of epochs at the start of training in which it is frozen; 0 never freezes.

    Raises:
        InputError: if there is nothing to freeze, but epochs to freeze it in.
    """

    def __init__(self, encoder: nn.Module | None, epochs: int) -> None:
        if encoder is None and epochs:
            raise InputError(f"freeze_epochs is {epochs}, but the network has no encoder to freeze; leave it out")
        self.encoder = encoder
        self.epochs = epochs
        self.hook: Any = None

    def attach(self, engine: Engine) -> None:
        """Register with a trainer.

        Args:
            engine: the trainer.
        """
        if self.encoder is not None:
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        assert self.encoder is not None
        frozen = engine.state.epoch <= self.epochs
        if frozen and self.hook is None:
            # the trainer calls network.train() before every step, so the mode is set where the encoder is entered
            self.hook = self.encoder.register_forward_pre_hook(lambda module, _: module.eval() and None)
            self.encoder.requires_grad_(False)
        if not frozen and self.hook is not None:
            self.hook.remove()
            self.hook = None
            self.encoder.requires_grad_(True)


class EarlyStopping:
    """Stop a training whose validation has not found a better model for some time.

    Args:
        patience: validations in a row without a better model; None never stops.
        validator: the evaluator used for validation.
    """

    def __init__(self, patience: int | None, validator: Evaluator) -> None:
        self.patience = patience
        self.validator = validator
        self.waited = 0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer, after the handler that validates.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        validated: Any = self.validator.state  # with what MONAI adds
        if self.patience is None or validated.epoch != engine.state.epoch:
            return
        self.waited = 0 if validated.best_metric_epoch == validated.epoch else self.waited + 1
        if self.waited >= self.patience:
            _logger.info(f"early stopping: no better model in {self.waited} validations")
            engine.terminate()

    def state_dict(self) -> dict[str, int]:
        """How many validations in a row have found no better model."""
        return {"waited": self.waited}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from there."""
        self.waited = state["waited"]


class BestScores:
    """Write the best value of each score over all validations so far, whichever epoch it is from, as JSON.

    So the published evaluation reports: the best epoch of each score, on the scored images themselves. Scores of
    several epochs do not belong to one model; compare them with the paper's figures and with nothing else.

    Args:
        path: the file to write, in a folder that exists.
        prefix: what the names of the scores begin with: one of those of the table of scores.
    """

    def __init__(self, path: str | os.PathLike, *, prefix: str) -> None:
        self.path = Path(path)
        self.prefix = prefix
        self.best: dict[str, dict[str, float]] = {}

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator used for validation.

        Args:
            engine: the evaluator.
        """
        if self.path.is_file():  # of the same run, which goes on
            self.best = read_json(self.path)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        for name, value in engine.state.metrics.items():
            if parse_name(name).prefix != self.prefix:
                continue
            sign = -1 if lower_is_better(name) else 1
            if name not in self.best or sign * value > sign * self.best[name]["value"]:
                self.best[name] = {"value": value, "epoch": engine.state.epoch}
        write_json(self.path, self.best)


class ValidationHandler(monai.handlers.ValidationHandler):
    """MONAI's handler, which validates every ``interval`` epochs, and always after the last epoch too.

    The best model is saved by the validation, so training for any number of epochs leaves a model behind.
    """

    def attach(self, engine: Engine) -> None:
        """Register with a trainer.

        Args:
            engine: the trainer.
        """

        def due(engine: Engine, epoch: int) -> bool:
            return epoch % self.interval == 0 or epoch == engine.state.max_epochs

        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=due), self)
        if self.exec_at_start:
            engine.add_event_handler(Events.STARTED, self)
