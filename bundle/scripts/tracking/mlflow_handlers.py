# SPDX-License-Identifier: Apache-2.0

"""MLflow handlers: log each training as a run, with its settings, curves, pictures of the validation and the model."""

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
from .mlflow_setup import check_experiment, tracked_at

__all__ = ["RunTracker", "ValidationTracker"]

_MAX_SIDE = 512  # pixels; larger images are shrunk in a picture


class _Tracker(MLFlowHandler):
    """MONAI's MLflow handler, at the address that is named, and with a sentence for an experiment that was deleted."""

    def __init__(self, tracking_uri: str, **kwargs: Any) -> None:
        with tracked_at(tracking_uri):
            super().__init__(tracking_uri, **kwargs)

    def _set_experiment(self) -> None:
        check_experiment(self.client.get_experiment_by_name(self.experiment_name))
        super()._set_experiment()

    def _log_params(self, params: dict[str, Any]) -> None:
        """Log parameters. MLflow's stores hold Unicode only, so of other names the bytes are written as text."""
        texts = {name: _as_unicode(value) if isinstance(value, str) else value for name, value in params.items()}
        super()._log_params(texts)


class RunTracker(_Tracker):
    """MONAI's MLflow handler, extended to mark the run as failed when the engine stops with an error.

    Args:
        tracking_uri: address of MLflow's store.
        parent_run: id of the parent run, such as the run of a cross-validation; None if there is no parent.
        kwargs: further arguments of :py:class:`monai.handlers.MLFlowHandler`.
    """

    def __init__(self, tracking_uri: str, *, parent_run: str | None = None, **kwargs: Any) -> None:
        super().__init__(tracking_uri, **kwargs)
        self.parent_run = parent_run

    def start(self, engine: Engine) -> None:
        """Start the run, and record its parent.

        Args:
            engine: trainer or evaluator.
        """
        super().start(engine)
        if self.cur_run is not None:  # a resumed run was marked as failed or killed when it stopped
            self.client.update_run(self.cur_run.info.run_id, status=_status_name(RunStatus.RUNNING))
        if self.parent_run is not None and self.cur_run is not None:
            self.client.set_tag(self.cur_run.info.run_id, MLFLOW_PARENT_RUN_ID, self.parent_run)

    def attach(self, engine: Engine) -> None:
        """Register with an engine, before any handler that raises the exception again (StatsHandler does).

        Args:
            engine: trainer or evaluator.
        """
        super().attach(engine)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.exception_raised)

    def _log_params(self, params: dict[str, Any]) -> None:
        """Log new parameters only: a resumed run has some already, and MLflow refuses to change a parameter."""
        assert self.cur_run is not None  # MONAI starts the run before it logs parameters
        logged = self.client.get_run(self.cur_run.info.run_id).data.params
        super()._log_params({name: value for name, value in params.items() if name not in logged})

    def exception_raised(self, engine: Engine, error: BaseException) -> None:
        """End the run as FAILED, or as KILLED after an interrupt or exit, and raise the error again.

        Args:
            engine: the engine that stopped.
            error: the exception that stopped it.
        """
        if self.cur_run is not None:
            interrupted = isinstance(error, (SystemExit, KeyboardInterrupt))
            status = RunStatus.KILLED if interrupted else RunStatus.FAILED
            self.client.set_terminated(self.cur_run.info.run_id, _status_name(status))
        raise error


def _as_unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _status_name(status: int) -> str:
    name: str = RunStatus.to_string(status)
    return name


def _shrink(image: Tensor, mode: str) -> np.ndarray:
    """Shrink an image (C, H, W) so that no side exceeds ``_MAX_SIDE`` pixels, and convert it to NumPy."""
    size = image.shape[1:]
    if max(size) > _MAX_SIDE:
        target = [max(1, round(side * _MAX_SIDE / max(size))) for side in size]
        image = nn.functional.interpolate(image[None].float(), target, mode=mode)[0].to(image.dtype)
    return image.cpu().numpy()


class ValidationTracker(_Tracker):
    """Log the scores of the validation to the training's run, and regularly a picture of the first images.

    Each row of the picture shows an image, its label and the prediction. The picture is also saved in ``pictures_dir``.

    Args:
        pictures_dir: folder for the pictures, created with the first picture.
        tracking_uri: address of MLflow's store.
        picture_interval: number of validations from one picture to the next; the first validation has a picture.
        num_pictures: number of rows in a picture.
        kwargs: further arguments of :py:class:`monai.handlers.MLFlowHandler`.
    """

    # The trainer logs max_epochs and epoch_length. A validation before the first epoch would log its own values.
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
        num_rows = self.num_pictures if self.validations % self.picture_interval == 0 else 0
        outputs: Any = engine.state.output  # MONAI's evaluator leaves one dictionary for each image
        for output in outputs[: max(0, num_rows - len(self.rows))]:
            # label and pred are one-hot (K, H, W)
            image = _shrink(output["image"], "area")
            label, pred = (_shrink(output[key].argmax(0, keepdim=True), "nearest-exact") for key in ("label", "pred"))
            self.rows.append((image, label[0], pred[0]))

    def _log_picture(self, engine: Engine) -> None:
        self.validations += 1
        if not self.rows or self.cur_run is None:
            return
        self.pictures_dir.mkdir(parents=True, exist_ok=True)
        path = self.pictures_dir / f"validation_epoch_{engine.state.epoch:04d}.png"
        draw_panel(self.rows).save(path)
        self.client.log_artifact(self.cur_run.info.run_id, str(path), artifact_path="validation")
