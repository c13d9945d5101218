# SPDX-License-Identifier: Apache-2.0

"""The best model so far, and beside it what it needs to be used: never one without the other."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from ..checkpoints.model_folder import keep_previous_model, pending_model, put_pending_model, settings_path
from ..common.files import file_digest, read_json, synced, write_json

__all__ = ["SaveBestModel"]

_logger = logging.getLogger("qtseg")


class SaveBestModel:
    """Write ``model.pt`` and ``model.json`` whenever the validation has found a new best model.

    Both are written aside, and then put in their places. Cut off between the two, the settings are of a model that
    still has its other name, which :py:func:`..checkpoints.model_settings.read_settings` mends. The first time, the
    model of an earlier training is kept as ``model.previous.pt``, with its settings. A training that starts from the
    very model in the folder leaves it untouched until it has found a better one.

    Args:
        ckpt_dir: folder of both.
        network: whose state is saved.
        settings: JSON-serializable values, with at least the keys of
            :py:data:`..checkpoints.model_schema.PUBLISHED`; the checksum of the model is added.
        run_name: of the training; kept with the settings.
        start: weights that the training starts from, if it does.
    """

    def __init__(
        self,
        ckpt_dir: str | os.PathLike,
        network: nn.Module,
        settings: Mapping[str, Any],
        *,
        run_name: str,
        start: str | os.PathLike | None = None,
    ) -> None:
        self.path = Path(ckpt_dir) / "model.pt"
        self.network = network
        self.settings = {**settings, "run": run_name}
        self.is_checked = False
        self.is_start = start is not None and os.path.realpath(start) == os.path.realpath(self.path)

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator used for validation.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self._check_that_the_best_is_there)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _check_that_the_best_is_there(self, engine: Engine) -> None:
        """A training that goes on compares with a model that may have been removed, or replaced, since."""
        state: Any = engine.state
        if not self.is_checked and state.best_metric_epoch > 0 and not self._is_as_written():
            _logger.warning(
                f"{self.path} is not there any more as this training wrote it; the next validation counts as the best"
            )
            state.best_metric, state.best_metric_epoch = -1, -1
        self.is_checked = True

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the evaluator, its scores compared by MONAI with the best before.
        """
        state: Any = engine.state
        if state.best_metric_epoch != state.epoch or (self.is_start and state.epoch == 0 and self.path.is_file()):
            return
        folder = self.path.parent
        if not self._is_of_this_run():
            if settings_path(folder).is_file():
                put_pending_model(folder, read_json(settings_path(folder)))
            keep_previous_model(folder)
        pending = pending_model(folder)
        with synced(pending) as file:
            # of a GPU's tensors others could make nothing on a machine without one
            torch.save({name: value.cpu() for name, value in self.network.state_dict().items()}, file)
        settings = {**self.settings, "sha256": file_digest(pending)}
        write_json(settings_path(folder), settings)
        put_pending_model(folder, settings)

    def _is_of_this_run(self) -> bool:
        path = settings_path(self.path.parent)
        return path.is_file() and read_json(path).get("run") == self.settings["run"]

    def _is_as_written(self) -> bool:
        if not self._is_of_this_run():
            return False
        settings = read_json(settings_path(self.path.parent))
        put_pending_model(self.path.parent, settings)
        return self.path.is_file() and settings.get("sha256") == file_digest(self.path)
