# SPDX-License-Identifier: Apache-2.0

"""MLflow: one run a training, with its settings, curves, pictures of validation overlays and the final model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from mlflow.entities import RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from monai.handlers import MLFlowHandler
from torch import Tensor, nn

from ..image_io.pictures import draw_panel
from .mlflow_setup import tracked_at

__all__ = ["RunTracker", "ValidationTracker"]

_LONGEST = 512  # pixels of an example's side in a picture


class RunTracker(MLFlowHandler):
    """MONAI's MLflow handler, which also marks the run as failed when the engine stops with an error.

    Args:
        tracking_uri: where runs are tracked.
        parent_run: id of the run that this one is a part of, such as a cross-validation's; None if of none.
        kwargs: as of :py:class:`monai.handlers.MLFlowHandler`.
    """

    def __init__(self, tracking_uri: str, *, parent_run: str | None = None, **kwargs: Any) -> None:
        with tracked_at(tracking_uri):
            super().__init__(tracking_uri, **kwargs)
        self.parent_run = parent_run

    def start(self, engine: Engine) -> None:
        """Start the run, below its parent.

        Args:
            engine: trainer or evaluator.
        """
        super().start(engine)
        if self.cur_run is not None:  # one that was cut off, and goes on, was marked as such
            self.client.update_run(self.cur_run.info.run_id, status=_status(RunStatus.RUNNING))
        if self.parent_run is not None and self.cur_run is not None:
            self.client.set_tag(self.cur_run.info.run_id, MLFLOW_PARENT_RUN_ID, self.parent_run)

    def attach(self, engine: Engine) -> None:
        """Register with an engine, before any handler that raises the exception again (as StatsHandler does).

        Args:
            engine: trainer or evaluator.
        """
        super().attach(engine)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.exception_raised)

    def _log_params(self, params: dict[str, Any]) -> None:
        """Those that are not there yet: a run that goes on has them, and MLflow refuses other values of a parameter."""
        assert self.cur_run is not None  # MONAI has started it
        known = self.client.get_run(self.cur_run.info.run_id).data.params
        super()._log_params({name: value for name, value in params.items() if name not in known})

    def exception_raised(self, engine: Engine, error: BaseException) -> None:
        """End the run as FAILED, or as KILLED if it was asked to stop, and raise the error again.

        Args:
            engine: the engine that stopped.
            error: what stopped it.
        """
        if self.cur_run is not None:
            was_asked = isinstance(error, (SystemExit, KeyboardInterrupt))
            status = RunStatus.KILLED if was_asked else RunStatus.FAILED
            self.client.set_terminated(self.cur_run.info.run_id, _status(status))
        raise error


def _status(status: int) -> str:
    name: str = RunStatus.to_string(status)
    return name


def _small(image: Tensor, mode: str) -> np.ndarray:
    """An image (C, H, W), shrunk where its longest side has more than ``_LONGEST`` pixels."""
    size = image.shape[1:]
    if max(size) > _LONGEST:
        shrunk = [max(1, round(side * _LONGEST / max(size))) for side in size]
        image = nn.functional.interpolate(image[None].float(), shrunk, mode=mode)[0].to(image.dtype)
    return image.cpu().numpy()


class ValidationTracker(MLFlowHandler):
    """Log the validation's scores to the training's run, and every few validations a picture of its first images.

    Each row of the picture shows an image, its label and the prediction. The picture is also kept in ``pictures_dir``.

    Args:
        pictures_dir: folder for the pictures, made when the first is drawn.
        tracking_uri: where runs are tracked.
        picture_interval: number of validations from one picture to the next; the first has one.
        num_pictures: rows of a picture.
        kwargs: as of :py:class:`monai.handlers.MLFlowHandler`.
    """

    # max_epochs and epoch_length are the trainer's to log; a validation before the first epoch would log its own
    default_tracking_params: list[str] = []

    def __init__(
        self,
        pictures_dir: str | os.PathLike,
        *,
        tracking_uri: str,
        picture_interval: int = 5,
        num_pictures: int = 4,
        **kwargs: Any,
    ) -> None:
        with tracked_at(tracking_uri):
            super().__init__(tracking_uri, **kwargs)
        self.pictures_dir = Path(pictures_dir)
        self.picture_interval = picture_interval
        self.num_pictures = num_pictures
        self.validations = 0
        self.rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator used for validation.

        Args:
            engine: the evaluator.
        """
        super().attach(engine)
        engine.add_event_handler(Events.EPOCH_STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_picture)

    def _clear(self) -> None:
        self.rows = []

    def _collect(self, engine: Engine) -> None:
        wanted = self.num_pictures if self.validations % self.picture_interval == 0 else 0
        outputs: Any = engine.state.output  # MONAI's evaluator leaves one dictionary an image
        for output in outputs[: max(0, wanted - len(self.rows))]:
            # label and pred are one-hot (K, H, W)
            image = _small(output["image"], "area")
            label, pred = (_small(output[key].argmax(0, keepdim=True), "nearest-exact") for key in ("label", "pred"))
            self.rows.append((image, label[0], pred[0]))

    def _log_picture(self, engine: Engine) -> None:
        self.validations += 1
        if not self.rows or self.cur_run is None:
            return
        self.pictures_dir.mkdir(parents=True, exist_ok=True)
        path = self.pictures_dir / f"validation_epoch_{engine.state.epoch:04d}.png"
        draw_panel(self.rows).save(path)
        self.client.log_artifact(self.cur_run.info.run_id, str(path), artifact_path="validation")
