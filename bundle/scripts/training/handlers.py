# SPDX-License-Identifier: Apache-2.0

"""Handlers of the training loop that MONAI and ignite lack."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai.handlers
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

from ..common.counts import counted
from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..common.score_table import lower_is_better, parse_name

__all__ = ["BestScores", "EarlyStopping", "FreezeEncoder", "ValidationHandler", "WarnOfEmptyMasks"]

_EMPTY = 4  # validations in a row without a predicted object before the first warning

_logger = logging.getLogger("qtseg")


class FreezeEncoder:
    """Freeze a pretrained encoder for the first epochs: neither its weights nor its BatchNorm statistics change.

    The published run freezes an encoder that starts from pretrained weights for 50 epochs (paper, section on training).

    Args:
        encoder: part of the network to freeze, or None if the network has no encoder.
        epochs: number of epochs at the start of the training in which the encoder is frozen. 0 never freezes it.

    Raises:
        InputError: if the network has no encoder, but ``epochs`` is above 0.
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
            # The trainer calls network.train() before every step. So the mode is set each time the encoder is called.
            self.hook = self.encoder.register_forward_pre_hook(lambda module, _: module.eval() and None)
            self.encoder.requires_grad_(False)
        if not frozen and self.hook is not None:
            self.hook.remove()
            self.hook = None
            self.encoder.requires_grad_(True)


class EarlyStopping:
    """Stop a training whose validation has not found a better model for some time.

    Args:
        patience: number of validations in a row without a better model after which the training stops. None never
            stops it.
        validator: evaluator that validates the network.
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
        validated: Any = self.validator.state  # Any, because MONAI adds attributes to ignite's state
        if self.patience is None or validated.epoch != engine.state.epoch:
            return
        self.waited = 0 if validated.best_metric_epoch == validated.epoch else self.waited + 1
        if self.waited >= self.patience:
            _logger.info(f"early stopping: no better model in {self.waited} validations")
            engine.terminate()

    def state_dict(self) -> dict[str, int]:
        """Return the number of validations in a row that have found no better model, as ``waited``."""
        return {"waited": self.waited}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue with a state that :py:meth:`state_dict` returned.

        Args:
            state: the state.
        """
        self.waited = state["waited"]


class BestScores:
    """Write a JSON file with the best value of each score over all validations so far, and its epoch.

    The published evaluation reports scores in this way: it takes the best epoch of each score, on the scored images
    themselves. Scores of different epochs do not belong to one model. Compare them only with the figures of the paper.

    Args:
        path: path of the file to write, in a folder that exists.
        prefix: prefix in the names of the scores to write, one of those in the table of scores.
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
        if self.path.is_file():  # the same run wrote it before it was cut off
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
    """MONAI's handler, which validates every ``interval`` epochs, and here also after the last epoch.

    The validation saves the best model. So a training for any number of epochs writes a model.
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


class WarnOfEmptyMasks:
    """Warn if all predictions of several validations in a row are empty, although labels of these images are not.

    The warning comes after 4, 8, 16, ... such validations in a row, and at the end of the training.

    Args:
        validator: evaluator that validates the network. Its output has one-hot ``pred`` and ``label``, (C, H, W).
    """

    def __init__(self, validator: Evaluator) -> None:
        self.validator = validator
        self.in_a_row = 0
        self.has_object = {"pred": False, "label": False}

    def attach(self, engine: Engine) -> None:
        """Register with a trainer.

        Args:
            engine: the trainer.
        """
        self.validator.add_event_handler(Events.ITERATION_COMPLETED, self._look)
        self.validator.add_event_handler(Events.COMPLETED, self._count)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _look(self, engine: Engine) -> None:
        images: Any = engine.state.output
        for key, has_object in self.has_object.items():
            self.has_object[key] = has_object or any(bool(item[key][1:].any()) for item in images)

    def _count(self) -> None:
        predicted, labeled = (bool(idist.all_reduce(int(self.has_object[key]), "MAX")) for key in ("pred", "label"))
        self.in_a_row = self.in_a_row + 1 if labeled and not predicted else 0
        self.has_object = {"pred": False, "label": False}
        if self.in_a_row >= _EMPTY and self.in_a_row & (self.in_a_row - 1) == 0:  # a power of 2
            self._warn()

    def _end(self) -> None:
        if self.in_a_row:
            self._warn()

    def _warn(self) -> None:
        if idist.get_rank() == 0:
            _logger.warning(
                f"WARNING: no object was predicted in any image of the last {counted(self.in_a_row, 'validation')}; if "
                "this goes on, train longer (--max_epochs), try another --learning_rate, enlarge --spatial_size or set "
                "--geometry native for small objects, and look at the masks"
            )
