# SPDX-License-Identifier: Apache-2.0

"""The training task, which trains on the labels so far."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai.bundle
from monailabel.interfaces.tasks.train import TrainTask

from scripts.checkpoints.model_schema import FIELDS
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.common.files import write_json
from scripts.common.knobs import check_knobs
from scripts.image_io.formats.registry import image_suffix
from scripts.image_io.pictures import save_palette
from scripts.networks.qtseg import OPTIONS

from .labels import read_label
from .model import TrainedModel

__all__ = ["TrainOnLabels", "training_knobs"]

_FEWEST = 4  # smallest number of labeled images; some of them choose the epoch
_KNOBS = {
    "max_epochs": 30,
    "batch_size": 8,
    "learning_rate": 0.001,
    "seed": 0,
    "spatial_size": 256,
    "geometry": ["fit", "native"],
}
_MOST = {"max_epochs": 100_000, "batch_size": 4096, "learning_rate": 10, "seed": 2**32 - 1, "spatial_size": 16_384}
# Knobs that keep the value of the model. The name of the network and its options follow from the weights.
_SAME = [field.name for field in FIELDS if field.as_trained and field.name not in ("network_name", *OPTIONS)]


class TrainOnLabels(TrainTask):
    """The task that continues the training of the present model. A training replaces it only by a better model.

    Args:
        model: model to train.
        output_dir: folder for the labels in the form that the training reads, and for all files of the training.
    """

    def __init__(self, model: TrainedModel, output_dir: Path) -> None:
        super().__init__("trains on all final labels, from the model there is")
        self.model = model
        self.output_dir = output_dir

    def config(self) -> dict[str, Any]:
        """Return the knobs of the training that clients show. A model that exists keeps its size and geometry."""
        return {name: value for name, value in _KNOBS.items() if name not in _SAME or not self.model.is_there}

    def stats(self) -> dict[str, Any]:
        """Return no statistics, because clients need none."""
        return {}

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Train on all final labels.

        Args:
            request: values of the knobs, by name.
            datastore: datastore of the images and labels.

        Raises:
            InputError: if a knob has a wrong value, if there are too few labels, or if a label cannot be read.
        """
        knobs = training_knobs(request)
        labeled = sorted(datastore.get_labeled_images())
        if len(labeled) < _FEWEST:
            raise InputError(f"{len(labeled)} image(s) have a final label; label at least {_FEWEST} before training")
        dataset_dir = self._export(labeled, datastore)
        knobs["out_channels"] = len(self.model.labels) + 1
        if self.model.is_there:
            settings = read_settings(self.model.ckpt_dir)
            same = {name: settings[name] for name in _SAME}
            knobs = {**knobs, **same, "weights": str(self.model.ckpt_dir / "model.pt")}
        monai.bundle.run(
            run_id="training",
            config_file=str(self.model.bundle / "configs" / "train.json"),
            logging_file=str(self.model.bundle / "configs" / "logging.conf"),
            bundle_root=str(self.model.bundle),
            dataset_dir=str(dataset_dir),
            ckpt_dir=str(self.model.ckpt_dir),
            output_dir=str(self.output_dir),
            resume=False,  # with new labels it is another training
            split=str(self._split(labeled)),
            protocol="paper",  # all labels train the network or choose the epoch, and none is reserved for a score
            **knobs,
        )
        return {}

    def _split(self, labeled: list[str]) -> Path:
        """Write a split file. About a fifth of the images chooses the epoch, the same ones when images are added."""
        digests = {name: int(hashlib.sha256(name.encode()).hexdigest(), 16) for name in labeled}
        by_digest = sorted(labeled, key=digests.__getitem__)
        val = [name for name in by_digest if digests[name] % 5 == 0][: len(labeled) // 2] or by_digest[:1]
        path = self.output_dir / "split_of_labels.json"
        write_json(path, {"folds": [{"train": [name for name in labeled if name not in val], "val": val}]})
        return path

    def _export(self, labeled: list[str], datastore: Any) -> Path:
        """Write a folder of images and masks that the training can read, by the names that the datastore has."""
        folder = self.output_dir / "labels_so_far"
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for name in labeled:
            image = Path(datastore.get_image_uri(name))  # target of the link; it is read by its content, not its suffix
            suffix = image_suffix(image) or ".png"
            (folder / "images" / f"{name}{suffix}").symlink_to(image.absolute())
            ids = read_label(datastore.get_label_uri(name, "final"), str(image), self.model.labels)
            save_palette(ids, folder / "masks" / f"{name}.png")
        return folder


def training_knobs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the knobs of a training among the values that a client sends. All other values are left out.

    Only numbers and known names pass, as configs evaluate a text that begins with ``$``.

    Args:
        values: values by name.

    Raises:
        InputError: if a knob has a wrong value.
    """
    return {name: _checked(name, values[name]) for name in _KNOBS if name in values}


def _checked(name: str, value: Any) -> Any:
    if isinstance(value, list) and name == "geometry":  # clients may send the list of choices that config() returns
        value = value[0] if value else None
    numbers = value if isinstance(value, list) and name == "spatial_size" else [value]
    if name != "geometry" and not all(type(number) in (int, float) for number in numbers):
        raise InputError(f"{name} is {value!r}; it must be a number")
    check_knobs({name: value})
    if name in _MOST and max(numbers) > _MOST[name]:
        raise InputError(f"{name} is {value!r}; use at most {_MOST[name]}")
    return value
