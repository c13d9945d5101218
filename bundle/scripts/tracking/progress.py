# SPDX-License-Identifier: Apache-2.0

"""Log the progress of a run: the data and settings at the start, a line for each epoch, and all paths at the end."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Timer
from monai.engines import Evaluator
from torch import nn

from ..checkpoints.model_settings import overlays_of
from ..common.command_line import as_typed
from ..common.paths import BUNDLE
from ..data.splits.protocols import PROTOCOLS
from ..data.splits.split import Split
from .curves import SaveCurves

__all__ = ["DataTime", "EpochLine", "describe_end", "describe_start"]


_logger = logging.getLogger("qtseg")


def describe_start(
    *,
    source: str,
    train_data: Sequence[Mapping[str, Any]],
    val_data: Sequence[Mapping[str, Any]],
    test_data: Sequence[Mapping[str, Any]],
    split: Split,
    network: nn.Module,
    device: torch.device,
    hyperparameters: Mapping[str, Any],
) -> None:
    """Log the start of a training: numbers of images, fold, classes, parameters, device, and values of the knobs.

    Args:
        source: text that says where the images come from.
        train_data: items of the training images.
        val_data: items of the images that choose the best epoch.
        test_data: items of the images that an evaluation will score.
        split: the split into folds.
        network: the network to train.
        device: the device it is trained on.
        hyperparameters: values of the knobs after all defaults are resolved, by name.
    """
    if idist.get_rank() > 0:
        return
    h = hyperparameters
    parameters = sum(p.numel() for p in network.parameters())
    fold = f"fold {h['fold']} of {len(split.folds)}, split {split.digest}"
    counts = f"{len(train_data)} images to train, {len(val_data)} to choose the epoch, {len(test_data)} to score"
    _logger.info(f"data:     {source}: {counts} ({fold})")
    _logger.info(f"protocol: {PROTOCOLS[h['protocol']].text}")
    _logger.info(f"network:  {type(network).__name__}, {parameters:,} parameters, {h['out_channels']} classes")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    _logger.info(f"device:   {device} ({name}), {idist.get_world_size()} process(es), {h['precision']}")
    _logger.info("settings: " + ", ".join(f"{key} {value}" for key, value in h.items()))


def describe_end(
    *,
    validator: Evaluator,
    network_name: str,
    test_data: Sequence[Mapping[str, Any]],
    ckpt_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    run_dir: str | os.PathLike,
    tracking_uri: str,
    otsu_dice: float | None = None,
) -> None:
    """Log the best validation score, the paths of all results, and the commands to use them.

    Args:
        validator: the evaluator used for validation.
        network_name: name of the network in the config: "qtseg", or the name of an overlay.
        test_data: items of the images that an evaluation will score.
        ckpt_dir: folder of the best model.
        output_dir: folder of all other results.
        run_dir: folder of this run, inside ``output_dir``.
        tracking_uri: address of MLflow's store.
        otsu_dice: Dice of Otsu's threshold on the same images; None if it is no fair comparison.
    """
    if idist.get_rank() > 0:
        return
    state = validator.state
    if state.best_metric_epoch:
        _logger.info(f"best validation Dice {state.best_metric:.4f} at epoch {state.best_metric_epoch}")
    else:
        _logger.info(f"no epoch was better than the start, whose validation Dice is {state.best_metric:.4f}")
    if otsu_dice is not None:
        _logger.info(f"for comparison, Otsu's threshold reaches {otsu_dice:.4f} on them (the images are synthetic)")
    local = f"mlflow ui --host 127.0.0.1 --backend-store-uri {shlex.quote(tracking_uri)}"
    folder = f"--ckpt_dir {shlex.quote(str(ckpt_dir))}"
    evaluating = _command("evaluating", "train", "evaluate", *overlays_of(network_name))
    inferring = _command("inferring", "inference", *overlays_of(network_name))
    _logger.info(f"best model:  {os.path.join(ckpt_dir, 'model.pt')}")
    _logger.info(f"this run:    {run_dir}")
    _logger.info(f"curves:      {local if tracking_uri.startswith('sqlite:') else tracking_uri}")
    _logger.info(f"       or:   tensorboard --logdir {shlex.quote(str(output_dir))}")
    if test_data:
        _logger.info(f"scores:      {evaluating} {folder}")
    _logger.info(f"masks:       {inferring} --dataset_dir IMAGES --output_dir MASKS {folder}")


def _command(run_id: str, *configs: str) -> str:
    bundle = os.path.relpath(BUNDLE)
    files = [os.path.normpath(os.path.join(bundle, "configs", f"{name}.json")) for name in configs]
    config_file = as_typed([files[0] if len(files) == 1 else str(files)])
    root = "" if bundle == os.curdir else f" --bundle_root {shlex.quote(bundle)}"
    return f"python -m monai.bundle run {run_id} --config_file {config_file}{root}"


class DataTime:
    """Handler of a trainer that measures how long steps wait for their batches, and logs it after the first epoch."""

    def attach(self, engine: Engine) -> None:
        """
        Args:
            engine: the trainer.
        """
        self.timer = Timer().attach(
            engine,
            start=Events.EPOCH_STARTED,
            resume=Events.GET_BATCH_STARTED,
            pause=Events.GET_BATCH_COMPLETED,
        )
        engine.add_event_handler(Events.EPOCH_COMPLETED(once=1), self)

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the trainer at the end of its first epoch.
        """
        seconds = engine.state.times["EPOCH_COMPLETED"]
        assert seconds is not None  # ignite sets it before the event
        share = self.timer.value() / seconds
        advice = "; more --num_workers or --cache_rate may shorten it" if share > 0.1 else ""
        _logger.info(f"data:     {share:.0%} of the first epoch's {seconds:.1f} s went into waiting for images{advice}")


class EpochLine:
    """Log a line for each epoch: training loss, scores if the epoch was validated, learning rate and seconds.

    :py:class:`monai.handlers.StatsHandler` takes it as ``epoch_print_logger``.

    Args:
        validator: the evaluator used for validation.
        curves: the curves, which store the learning rate at the start of the epoch. At the end of the epoch, the
            optimizer already has that of the next epoch.
    """

    def __init__(self, validator: Evaluator, curves: SaveCurves) -> None:
        self.validator = validator
        self.curves = curves

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the trainer at the end of an epoch.
        """
        epoch, seconds = engine.state.epoch, engine.state.times["EPOCH_COMPLETED"]
        line = f"epoch {epoch:>3}/{engine.state.max_epochs}  loss {engine.state.metrics['train_loss']:.4f}"
        validation = self.validator.state
        if validation.epoch == epoch and validation.metrics:
            scores = "  ".join(f"{name} {value:.4f}" for name, value in validation.metrics.items())
            line += f"  {scores}  (best {validation.best_metric:.4f}, epoch {validation.best_metric_epoch})"
            seconds += validation.times["COMPLETED"]
        _logger.info(f"{line}  lr {self.curves.learning_rate:.1e}  {seconds:.1f} s")
