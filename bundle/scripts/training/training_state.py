# SPDX-License-Identifier: Apache-2.0

"""The state of a training: saved every few epochs and when the training is stopped, and loaded when it is resumed."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.engines import Evaluator, Trainer

from ..checkpoints.run_checkpoints import write_checkpoint
from ..common.errors import InputError
from .determinism import EpochSampler

__all__ = ["TrainingState", "leave_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_logger = logging.getLogger("qtseg")


class TrainingState:
    """Save the state of a training, and load a saved state at its start.

    With the random numbers of :py:mod:`.determinism`, a training that was stopped and resumed has the same result as
    one that was never stopped. On a CPU the results are equal bit by bit.

    At the first SIGINT or SIGTERM the training ends its step, saves its state, and exits with the usual status (130,
    143). The second signal stops it at once.

    Args:
        folder: folder where this run writes its checkpoints.
        parts: objects with a state, by name: network, optimizer, scheduler.
        handlers: handlers with a state of their own, by name. They are attached to the trainer before this handler.
        metrics: metrics that accumulate over the steps of an epoch, by name.
        validator: evaluator that validates the network. Its best score is part of the state.
        sampler: sampler of the training images.
        images_per_batch: number of images in a batch of this process.
        interval: number of epochs from one checkpoint to the next. The last epoch always has a checkpoint.
        save_start: whether to save a checkpoint before the first step too. This keeps first weights whose file may
            change meanwhile.
        state: state to begin with, from :py:func:`..checkpoints.run_checkpoints.newest_checkpoint`, or None for a new
            training.
    """

    def __init__(
        self,
        folder: str,
        *,
        parts: Mapping[str, Any],
        handlers: Mapping[str, Any],
        metrics: Mapping[str, Metric],
        validator: Evaluator,
        sampler: EpochSampler,
        images_per_batch: int,
        interval: int,
        save_start: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.parts = {**parts, **handlers}
        self.handlers = dict(handlers)
        self.metrics = dict(metrics)
        self.validator = validator
        self.sampler = sampler
        self.images_per_batch = images_per_batch
        self.interval = interval
        self.save_start = save_start
        self.state = state
        self.signal = 0
        self.before: dict[signal.Signals, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Register with a trainer, as the last of its handlers.

        Args:
            engine: the trainer.
        """
        for handler in self.handlers.values():
            handler.attach(engine)
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_STARTED, self._go_on_within_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._after_step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.COMPLETED, self._leave)

    def _begin(self, engine: Trainer) -> None:
        if threading.current_thread() is threading.main_thread():  # other threads must not set signal handlers
            for number in _SIGNALS:
                self.before[number] = signal.signal(number, self._note)
        if self.state is None:
            if self.save_start:
                self._save(engine)
            return
        for name, part in {**self.parts, **_scaler(engine)}.items():
            part.load_state_dict(self.state["parts"][name])
        engine.state.epoch, engine.state.iteration = self.state["epoch"], self.state["step"]
        for workflow, name in ((engine, "trainer"), (self.validator, "validator")):
            workflow.state.best_metric, workflow.state.best_metric_epoch = self.state["best"][name]
        if self.state["ended"]:
            engine.terminate()

    def _go_on_within_epoch(self, engine: Trainer) -> None:
        """Skip the images of the steps that are done in this epoch, and restore the metrics over these steps."""
        if self.state is None:
            return
        assert engine.state.epoch_length is not None  # the loader has a length
        done = self.state["step"] % engine.state.epoch_length
        self.sampler.skip(done * self.images_per_batch)
        if done:
            for name, metric in self.metrics.items():
                metric.load_state_dict(self.state["metrics"][name])
        self.state = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        _logger.warning(f"{signal.Signals(number).name}: stopping after this step; once more stops at once")
        for handled in _SIGNALS:
            signal.signal(handled, signal.SIG_DFL)

    def _leave(self) -> None:
        while self.before:
            signal.signal(*self.before.popitem())

    def _after_step(self, engine: Trainer) -> None:
        assert engine.state.epoch_length is not None  # the loader has a length
        if engine.state.iteration % engine.state.epoch_length and self._is_stopping():
            self._save(engine)
            raise SystemExit(128 + self.signal)

    def _end_epoch(self, engine: Trainer) -> None:
        is_stopping = self._is_stopping()
        is_last = engine.state.epoch == engine.state.max_epochs or engine.should_terminate
        if is_stopping or is_last or engine.state.epoch % self.interval == 0:
            self._save(engine)
        if is_stopping:
            raise SystemExit(128 + self.signal)

    def _is_stopping(self) -> bool:
        if idist.get_world_size() > 1:  # all processes stop after the same step
            self.signal = int(idist.all_reduce(self.signal, op="MAX"))
        return self.signal > 0

    def _save(self, engine: Trainer) -> None:
        state = engine.state
        epoch = state.iteration // state.epoch_length if state.epoch_length else 0
        content = {
            "parts": {name: part.state_dict() for name, part in {**self.parts, **_scaler(engine)}.items()},
            "metrics": {name: metric.state_dict() for name, metric in self.metrics.items()},
            "best": {
                name: [workflow.state.best_metric, workflow.state.best_metric_epoch]
                for name, workflow in (("trainer", engine), ("validator", self.validator))
            },
            "epoch": epoch,
            "step": state.iteration,
            "ended": engine.should_terminate,  # True after early stopping, before the last epoch
        }
        if idist.get_rank() == 0:
            self._write(content, epoch, state.iteration)
        idist.barrier()  # a process that ends earlier would let the job kill the first process while it writes

    def _write(self, content: Mapping[str, Any], epoch: int, step: int) -> None:
        try:
            write_checkpoint(self.folder, content, epoch=epoch, step=step)
        except OSError as error:
            raise InputError(
                f"the checkpoint after epoch {epoch} cannot be written to {self.folder} ({error.strerror}); make "
                "room, and run the same command: it goes on from the checkpoint before"
            ) from error


def _scaler(engine: Trainer) -> dict[str, Any]:
    """Return the scaler of gradients by its name, if the trainer has one. Only float16 needs it."""
    return {} if engine.scaler is None else {"scaler": engine.scaler}


def leave_signals(worker: int) -> None:
    """Let a worker process that loads images ignore the signal that stops its whole process group.

    The training itself ends the worker: by a SIGTERM of its own when it is done, or when an error ends it. Such a
    signal is the only one that counts. A config names this function as ``worker_init_fn`` of a loader.

    Args:
        worker: number of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # only there a process learns who sent a signal; elsewhere each SIGTERM counts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_told, args=(os.getppid(),), daemon=True).start()


def _end_when_told(training: int) -> None:
    """Wait for a SIGTERM that the training sent, and end this process at once. PyTorch's own handler does the same."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != training:
        pass
    os._exit(0)
