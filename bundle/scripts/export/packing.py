# SPDX-License-Identifier: Apache-2.0

"""The bundle with a model as one zip, to give away."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from ..checkpoints.model_schema import PUBLISHED
from ..checkpoints.model_settings import read_settings
from ..common.files import file_digest, read_json
from ..common.paths import BUNDLE

__all__ = ["pack"]

_METADATA = BUNDLE / "configs" / "metadata.json"
_PACKED = ("configs", "docs", "scripts", "LICENSE")
_MAY_NAME = {"dataset_dir", "split", "group", "weights", "encoder_weights"}  # settings


def pack(ckpt_dir: Path, model: Path, file: str) -> None:
    """Zip the bundle with a model, all in one folder ``qtseg``.

    Its settings and the metadata name no file and no group, and tell nothing of the model that comes with the bundle
    unless it is that one.

    Args:
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        model: its weights as they are to be packed.
        file: the zip to write.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _PACKED:
            root = BUNDLE / name
            for path in sorted(root.rglob("*") if root.is_dir() else [root]):
                if path.is_file() and "__pycache__" not in path.parts and path != _METADATA:
                    archive.write(path, Path("qtseg") / path.relative_to(BUNDLE))
        archive.writestr("qtseg/configs/metadata.json", json.dumps(_metadata_of(ckpt_dir / "model.pt"), indent=2))
        archive.write(model, Path("qtseg", "models", "model.pt"))
        if (ckpt_dir / "model.json").is_file():
            settings = {**_without_names(read_settings(ckpt_dir)), "sha256": file_digest(model)}
            archive.writestr("qtseg/models/model.json", json.dumps(settings, indent=2))


def _metadata_of(model: Path) -> dict[str, Any]:
    """The bundle's metadata, for a model of one's own without what they tell of the one that comes with the bundle."""
    metadata: dict[str, Any] = read_json(_METADATA)
    if file_digest(model) != metadata.get("model_sha256"):
        metadata["data_source"] = "images of the training, which are not given"
        for name in ("eval_metrics", "model_sha256"):
            metadata.pop(name, None)  # a zip of such a model has none
    return metadata


def _without_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that can be given away: names of files and groups can be those of patients."""
    groups = {image["group"]: str(i) for i, image in enumerate(settings["images"].values())}
    images = {
        str(i): {**image, "group": groups[image["group"]]} for i, image in enumerate(settings["images"].values())
    }
    away = {**dict.fromkeys(_MAY_NAME & settings.keys()), "layout": PUBLISHED["layout"]}  # the dataset is not given
    return {**settings, **away, "images": images, "leaks": []}
