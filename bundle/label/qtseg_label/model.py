# SPDX-License-Identifier: Apache-2.0

"""The trained model of the bundle, built from ``configs/inference.json``, which segments one image at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from scripts.checkpoints.loading import load_trained
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError, explanation
from scripts.common.files import read_json
from scripts.networks.acceleration import speed_up
from scripts.transforms.discretize import FULL_SCALE

__all__ = ["TrainedModel"]


class TrainedModel:
    """The trained model. It is loaded again when a training has written a better one, and used until then.

    Args:
        bundle: folder of the bundle.
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        out_channels: number of classes, with the background. Without a model, the default is 2.

    Raises:
        InputError: if there is a model and it has another number of classes than ``out_channels``.
    """

    def __init__(self, bundle: Path, ckpt_dir: Path, out_channels: int | None = None) -> None:
        self.bundle = bundle
        self.ckpt_dir = ckpt_dir
        self.out_channels = 2 if out_channels is None else out_channels
        self.version = str(read_json(bundle / "configs" / "metadata.json")["version"])
        self.lock = threading.RLock()  # the network serves one request at a time
        self.stamp: list[int] | None = None
        if self.is_there and out_channels is not None:
            classes = read_settings(ckpt_dir)["out_channels"]
            if classes != out_channels:
                raise InputError(
                    f"--conf out_channels is {out_channels}, but {ckpt_dir / 'model.pt'} is a model of {classes} "
                    "classes; give the folder of another model, or one for a model to come, by --conf ckpt_dir"
                )

    @property
    def is_there(self) -> bool:
        """Whether there is a trained model."""
        return (self.ckpt_dir / "model.pt").is_file()

    @property
    def labels(self) -> dict[str, int]:
        """Names and ids of the foreground classes. Before the first model, they follow from ``out_channels``."""
        classes = self.settings["out_channels"] if self.is_there and self.refresh() else self.out_channels
        return {f"class {number}" if classes > 2 else "object": number for number in range(1, classes)}

    def __call__(self, image: str) -> tuple[NDArray[np.uint8], float]:
        """Segment an image.

        Args:
            image: path of the image.

        Returns:
            Label ids, (H, W) or (H, W, D) uint8, and the mean entropy of the classes over all pixels, from 0 to 1.

        Raises:
            InputError: if the image or the model cannot be read.
        """
        try:
            with self.lock, torch.inference_mode():
                self.refresh()
                item = self.preprocessing({"image": image})
                scores = self.inferer(item["image"][None].to(self.device), self.network)[0]
                pred = self.postprocessing({"image": item["image"], "pred": scores})["pred"].cpu().numpy()
        except Exception as error:  # MONAI wraps our errors in its own
            problem = explanation(error)
            if problem is None:
                raise
            raise InputError(problem) from error
        return pred[0].astype(np.uint8), float(pred[-1].mean()) / FULL_SCALE

    def refresh(self) -> bool:
        """Load the model if its files have changed since it was loaded last.

        Returns:
            Always True, so that a condition can call this method.

        Raises:
            InputError: if the model cannot be read, and no earlier model is loaded.
        """
        with self.lock:
            return self._refreshed()

    def _refreshed(self) -> bool:
        files = [self.ckpt_dir / name for name in ("model.pt", "model.json")]
        stamp = [file.stat().st_mtime_ns if file.is_file() else 0 for file in files]
        if stamp != self.stamp:
            try:
                self._load()
                self.stamp = stamp
            except Exception as error:  # MONAI wraps our errors in its own
                if self.stamp is None or explanation(error) is None:
                    raise
                # A training is writing both files. The earlier model is used until they belong together.
        return True

    def _load(self) -> None:
        parser = ConfigParser()
        parser.read_config(self.bundle / "configs" / "inference.json")
        parser.update({"bundle_root": str(self.bundle), "ckpt_dir": str(self.ckpt_dir), "uncertainty_maps": True})
        network: Any = parser.get_parsed_content("network")
        load_trained(network, self.ckpt_dir / "model.pt")
        speed_up(network, parser.get_parsed_content("knobs").precision)
        self.settings: dict[str, Any] = parser.get_parsed_content("trained")
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.inferer = parser.get_parsed_content("inferer")
        self.postprocessing = parser.get_parsed_content("postprocessing")
        self.device: torch.device = parser.get_parsed_content("device")
        self.network = network
