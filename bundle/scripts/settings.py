# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What a trained model needs to be used as it was trained: a small JSON file beside its weights."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from .errors import InputError

__all__ = ["PUBLISHED", "SaveSettings", "read_settings"]

#: the published setting, used for weights that have no settings beside them (a converted release checkpoint)
PUBLISHED: dict[str, Any] = {
    "spatial_size": [512, 512],
    "out_channels": 2,
    "dataset_dir": None,
    "layout": "folder",
    "fold": 0,
    "num_folds": 5,
    "remainder": "spread",
}


def settings_path(ckpt_dir: str | os.PathLike) -> Path:
    """The settings file that belongs to ``<ckpt_dir>/model.pt``."""
    return Path(ckpt_dir) / "model.json"


def read_settings(ckpt_dir: str | os.PathLike) -> dict[str, Any]:
    """Settings that the model in ``ckpt_dir`` was trained with; the published ones where there is no settings file.

    Evaluation and inference take their defaults from here, so that a model meets images of the size it was trained on
    and is scored on the fold that it has not seen.

    Args:
        ckpt_dir: folder that holds ``model.pt`` and ``model.json``.

    Returns:
        A dictionary with the keys of :py:data:`PUBLISHED`.

    Raises:
        InputError: if the file is not JSON or lacks a key.
    """
    path = settings_path(ckpt_dir)
    if not path.is_file():
        logging.getLogger("qtseg").info(f"no {path}: using the published setting (512 x 512 pixels, 2 classes)")
        return dict(PUBLISHED)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); delete it to use the published setting") from error
    missing = sorted(set(PUBLISHED) - set(settings)) if isinstance(settings, dict) else sorted(PUBLISHED)
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; delete it to use the published setting, or train again")
    return settings


class SaveSettings:
    """Write the settings file whenever the validation has found (and saved) a new best model.

    Args:
        ckpt_dir: folder that holds ``model.pt``.
        settings: JSON-serializable values, with at least the keys of :py:data:`PUBLISHED`.
    """

    def __init__(self, ckpt_dir: str | os.PathLike, settings: Mapping[str, Any]) -> None:
        self.path = settings_path(ckpt_dir)
        self.text = json.dumps(dict(settings), indent=2) + "\n"

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator, after the handler that saves the model.

        Args:
            engine: the evaluator used for validation.
        """
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if getattr(engine.state, "best_metric_epoch") == engine.state.epoch:  # noqa: B009, set by MONAI
            self.path.write_text(self.text, encoding="utf-8")
