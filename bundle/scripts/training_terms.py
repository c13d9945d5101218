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

"""What tells one training from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from .errors import InputError
from .recipe import differences
from .whole_files import read_json, write_json

__all__ = ["bind", "check_terms", "terms_of"]

# where files lie, and what a machine chooses: told beside the scores, but no other training
_ELSEWHERE = ("ckpt_dir", "split", "seed", "precision")


def terms_of(config: ConfigParser) -> dict[str, Any]:
    """What the result of a training depends on, the seed aside: equal for trainings that may stand in one line.

    Args:
        config: of the training.

    Returns:
        Values that JSON can hold: the knobs, and digests of the split, of images and masks, and of all else in the
        config, such as network and transforms.
    """
    recipe: dict[str, Any] = config.get_parsed_content("training_recipe")
    knobs = config.get_parsed_content("hyperparameters")
    terms = {name: value for name, value in recipe.items() if name in knobs and name not in _ELSEWHERE}
    terms["precision"] = config.get("precision")
    for name in ("split_digest", "processes"):
        terms[name] = recipe[name]
    others = {name: value for name, value in recipe.items() if name not in {*terms, *_ELSEWHERE, "images"}}
    return {**terms, "images_digest": _digest(recipe["images"]), "config_digest": _digest(others)}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def bind(path: Path, terms: Mapping[str, Any]) -> None:
    """Bind a folder to a training before it begins, or check that it was begun as the same.

    Args:
        path: of a JSON file in the folder, which is written if it is not there.
        terms: of the training.

    Raises:
        InputError: if it was begun as another; says in what they differ.
    """
    if path.is_file():
        check_terms(path.parent, read_json(path), terms)
    else:
        write_json(path, terms)


def check_terms(what: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that two trainings are the same.

    Args:
        what: is of the first, for the message.
        begun, now: terms of both.

    Raises:
        InputError: saying in what they differ.
    """
    told = differences(begun, now)
    if told:
        raise InputError(
            f"{what} is of another training ({told}); set it as it was, move it away, or give another --output_dir"
        )
