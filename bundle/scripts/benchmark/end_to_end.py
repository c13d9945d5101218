# SPDX-License-Identifier: Apache-2.0

"""Measure the bundle from end to end: from image files to masks, and an epoch with and without loading images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

from ..checkpoints.architecture import architecture_of
from ..common.paths import CONFIGS
from .measure import in_turn, seconds

__all__ = ["epoch", "files_to_masks"]

_PREPARATIONS = ("scripts.networks.acceleration.keep_freed_memory", "scripts.networks.acceleration.speed_up")


def files_to_masks(
    dataset_dir: str, weights: str | None, size: int, device: torch.device, rounds: int
) -> dict[str, float]:
    """Time inference.json from image files to mask files, and compare it to the network alone on the same tensors.

    Args:
        dataset_dir: folder of images.
        weights: path of a trained model with two classes; None for random weights.
        size: side of the network's square input in pixels.
        device: the device that the network runs on.
        rounds: how often each of the two is timed, alternately.

    Returns:
        ``images``, the number of images; ``images_per_second``; ``images_per_second_of_the_network`` alone; and
        ``ratio``, the total time divided by the network's time.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {"dataset_dir": dataset_dir, "spatial_size": [size, size], "out_channels": 2}
        settings |= architecture_of(weights)
        parser = _parser("inference", folder, device, **settings)
        parser["run"] = [item for item in parser["run"] if _target(item) in _PREPARATIONS]
        if weights is not None:
            load = {"_target_": "scripts.checkpoints.loading.load_trained", "network": "@network_def", "path": weights}
            parser["run"] = [load, *parser["run"]]
        parser.get_parsed_content("run")
        evaluator = parser.get_parsed_content("evaluator")
        batches = [item["image"].as_tensor().to(device) for item in parser.get_parsed_content("dataloader")]

        @torch.inference_mode()
        def network() -> None:
            for batch in batches:
                evaluator.network(batch)

        whole, alone = _seconds(evaluator.run, network, device, rounds)
        images = sum(len(batch) for batch in batches)
    return {
        "images": images,
        "images_per_second": images / whole,
        "images_per_second_of_the_network": images / alone,
        "ratio": whole / alone,
    }


def epoch(
    dataset_dir: str, layout: str, size: int, batch: int, device: torch.device, rounds: int
) -> dict[str, float]:
    """Time an epoch of train.json, and compare it to an epoch whose steps all reuse one batch on the device.

    Args:
        dataset_dir: folder of images and masks.
        layout: name of the dataset's layout.
        size: side of the network's square input in pixels.
        batch: images in a step.
        device: the device that the network is trained on.
        rounds: how often each of the two epochs is timed, alternately.

    Returns:
        ``steps`` of the epoch, its ``seconds``, ``seconds_without_data``, and their ``ratio``.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {"spatial_size": [size, size], "batch_size": batch, "max_epochs": 1, "layout": layout}
        parser = _parser("train", folder, device, dataset_dir=dataset_dir, **settings)
        parser["train#handlers"] = []
        trainer = parser.get_parsed_content("train#trainer")
        loader = parser.get_parsed_content("train#dataloader")
        image, label = trainer.prepare_batch(next(iter(loader)), device, False)
        resident = SupervisedTrainer(
            device=device,
            max_epochs=1,
            train_data_loader=[{"image": image, "label": label}] * len(loader),
            network=trainer.network,
            optimizer=trainer.optimizer,
            loss_function=trainer.loss_function,
            inferer=trainer.inferer,
            amp=trainer.amp,
        )
        whole, alone = _seconds(trainer.run, resident.run, device, rounds)
    return {"steps": len(loader), "seconds": whole, "seconds_without_data": alone, "ratio": whole / alone}


def _parser(name: str, folder: str, device: torch.device, **overrides: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(CONFIGS / f"{name}.json")
    parser.read_meta(CONFIGS / "metadata.json")
    folders = {"bundle_root": str(CONFIGS.parent), "output_dir": folder, "ckpt_dir": folder}
    parser.update({**folders, "device": f"$torch.device('{device}')", **overrides})
    return parser


def _target(item: Any) -> str | None:
    return item.get("_target_") if isinstance(item, dict) else None


def _seconds(journey: Callable[[], Any], alone: Callable[[], Any], device: torch.device, rounds: int) -> list[float]:
    """Return the median seconds of both functions; the first round fills caches and does not count."""
    timers = {"journey": partial(seconds, journey, device), "alone": partial(seconds, alone, device)}
    return [median(times) for times in in_turn(timers, rounds, warm_up=1).values()]
