# SPDX-License-Identifier: Apache-2.0

"""Saving of the best model together with its settings: a folder never has one without the other."""

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
    """Write ``model.pt`` and ``model.json`` whenever the validation finds a new best model.

    The model is first written under another name. Then the settings are written, and the model is renamed. If the
    training is cut off between these two steps, :py:func:`..checkpoints.model_settings.read_settings` renames the model
    later. The first time, the model of an earlier training is kept as ``model.previous.pt``, with its settings. A
    training that starts from the model in the same folder does not replace it until the training finds a better one.

    Args:
        ckpt_dir: folder of the model and its settings.
        network: network whose state is saved.
        settings: JSON-serializable values, with at least the keys of
            :py:data:`..checkpoints.model_schema.PUBLISHED`. The SHA-256 digest of the model is added to them.
        run_name: name of the run of the training. It is saved with the settings.
        start: file with the weights that the training starts from, or None.
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
        engine.add_event_handler(Events.STARTED, self._check_best_model)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _check_best_model(self, engine: Engine) -> None:
        """Forget the best score if the best model was removed or replaced while the training was cut off."""
        state: Any = engine.state
        if not self.is_checked and state.best_metric_epoch > 0 and not self._is_as_written():
            _logger.warning(
                f"{self.path} is not there any more as this training wrote it; the next validation counts as the best"
            )
            state.best_metric, state.best_metric_epoch = -1, -1
        self.is_checked = True

    def __call__(self, engine: Engine) -> None:
        """Save the model if it is the best so far.

        Args:
            engine: the evaluator, after MONAI has compared its scores with the best scores before.
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
            # Tensors are saved from the CPU, so that a machine without a GPU can load them.
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
