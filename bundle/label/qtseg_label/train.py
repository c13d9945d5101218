# SPDX-License-Identifier: Apache-2.0

"""Train on the labels that there are so far."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
from monailabel.interfaces.tasks.train import TrainTask

from scripts.checkpoints.model_schema import FIELDS
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.common.files import write_json
from scripts.common.knobs import check_knobs
from scripts.image_io.formats import image_suffix
from scripts.image_io.pictures import save_palette
from scripts.networks.qtseg import OPTIONS

from .labels import read_label
from .model import TrainedModel

__all__ = ["TrainOnLabels"]

_FEWEST = 4  # images, of which some choose the epoch
_KNOBS = {
    "max_epochs": 30,
    "batch_size": 8,
    "learning_rate": 0.001,
    "seed": 0,
    "spatial_size": 256,
    "geometry": ["fit", "native"],
}
# as the model has them; what the network is built by, its weights tell
_SAME = [field.name for field in FIELDS if field.as_trained and field.name not in ("network_name", *OPTIONS)]


class TrainOnLabels(TrainTask):
    """Go on from the model there is; a training replaces it only by a better one.

    Args:
        model: to be trained.
        output_dir: for labels as the training reads them, and all that it writes.
    """

    def __init__(self, model: TrainedModel, output_dir: Path) -> None:
        super().__init__("trains on all final labels, from the model there is")
        self.model = model
        self.output_dir = output_dir

    def config(self) -> dict[str, Any]:
        """Knobs that clients show; those of the bundle's training. A model that goes on keeps its size and geometry."""
        return {name: value for name, value in _KNOBS.items() if name not in _SAME or not self.model.is_there}

    def stats(self) -> dict[str, Any]:
        """Nothing that clients need."""
        return {}

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Train.

        Args:
            request: values of the knobs.
            datastore: of images and labels.

        Raises:
            InputError: if there are too few labels, or one cannot be read.
        """
        knobs = {name: _checked(name, request[name]) for name in _KNOBS if name in request}
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
            resume=False,  # with other labels it would be another training
            split=str(self._split(labeled)),
            protocol="paper",  # all labels are trained on or choose the epoch, and none is kept for a score
            **knobs,
        )
        return {}

    def _split(self, labeled: list[str]) -> Path:
        """A split file: about a fifth chooses the epoch, always the same images however many come."""
        digests = {name: int(hashlib.sha256(name.encode()).hexdigest(), 16) for name in labeled}
        by_digest = sorted(labeled, key=digests.__getitem__)
        val = [name for name in by_digest if digests[name] % 5 == 0][: len(labeled) // 2] or by_digest[:1]
        path = self.output_dir / "split_of_labels.json"
        write_json(path, {"folds": [{"train": [name for name in labeled if name not in val], "val": val}]})
        return path

    def _export(self, labeled: list[str], datastore: Any) -> Path:
        """Images and masks in a folder, as the training reads them, by the names that the datastore gives them."""
        folder = self.output_dir / "labels_so_far"
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for name in labeled:
            image = Path(datastore.get_image_uri(name))  # where a link leads; what is read there goes by its content
            suffix = image_suffix(image) or ".png"
            (folder / "images" / f"{name}{suffix}").symlink_to(image.absolute())
            ids = read_label(datastore.get_label_uri(name, "final"), str(image), self.model.labels)
            save_palette(ids, folder / "masks" / f"{name}.png")
        return folder


def _checked(name: str, value: Any) -> Any:
    """A knob as a client sends it. Only numbers and known names may go on: configs evaluate text that begins with $."""
    if isinstance(value, list) and name == "geometry":  # as config() gives them for a choice
        value = value[0] if value else None
    numbers = value if isinstance(value, list) and name == "spatial_size" else [value]
    if name == "geometry":
        check_knobs({"geometry": value})
    elif not all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
        raise InputError(f"{name} is {value!r}; it must be a number")
    return value
