# SPDX-License-Identifier: Apache-2.0

"""Pack the bundle and a model into one zip that can be given to others."""

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
_PRIVATE = {"dataset_dir", "split", "group", "weights", "encoder_weights"}  # settings that may hold private names


def pack(ckpt_dir: Path, model: Path, file: str) -> None:
    """Zip the bundle with a model, all in one folder ``qtseg``.

    The packed settings and metadata hold no names of files or groups. The metadata describes the model that comes with
    the bundle only if that model is packed.

    Args:
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        model: path of the weights to pack, which may be a converted copy of ``model.pt``.
        file: path of the zip to write.
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
    """Return the bundle's metadata; for another model, without the facts about the model that comes with the bundle."""
    metadata: dict[str, Any] = read_json(_METADATA)
    if file_digest(model) != metadata.get("model_sha256"):
        metadata["data_source"] = "images of the training, which are not given"
        for name in ("eval_metrics", "model_sha256"):
            metadata.pop(name, None)  # absent if the bundle comes from a zip with another model
    return metadata


def _without_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without names of files and groups, because these can be names of patients."""
    groups = {image["group"]: str(i) for i, image in enumerate(settings["images"].values())}
    images = {
        str(i): {**image, "group": groups[image["group"]]} for i, image in enumerate(settings["images"].values())
    }
    # The zip has no dataset, so its layout is the default one.
    replaced = {**dict.fromkeys(_PRIVATE & settings.keys()), "layout": PUBLISHED["layout"]}
    return {**settings, **replaced, "images": images, "leaks": []}
