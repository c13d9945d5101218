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
"""The scores of a contest's trainings, a line an image, with what tells one training from another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..errors import InputError
from ..recipe import differences
from ..scores import read_scores
from ..whole_files import read_json, write_csv, write_json
from .contestants import Contestant

__all__ = ["COLUMNS", "Results", "Table", "bind", "read_results", "results_path", "save_results", "terms_of"]

Table = dict[str, dict[str, Any]]  # by image its group and scores
Results = dict[Contestant, dict[int, Table]]  # by seed

#: scores by image that are kept
COLUMNS = ("dice", "iou", "mae", "hd95", "paper_dice", "paper_iou", "paper_mae")

# where a contest lies, and what a machine chooses: told beside the scores, but no other training
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


def results_path(folder: Path, contestant: Contestant, seed: int) -> Path:
    """Where the scores of a training lie, a line an image; what it was and took lies beside it, as JSON."""
    return folder / "results" / f"{contestant.run(seed).replace('/', '.')}.csv"


def bind(path: Path, terms: Mapping[str, Any]) -> None:
    """Bind a folder to a training before it begins, or check that it was begun as the same.

    Args:
        path: of a JSON file in the folder, which is written if it is not there.
        terms: of the training.

    Raises:
        InputError: if it was begun as another; says in what they differ.
    """
    if path.is_file():
        _check(path.parent, read_json(path), terms)
    else:
        write_json(path, terms)


def _check(what: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    told = differences(begun, now)
    if told:
        raise InputError(
            f"{what} is of another training ({told}); set it as it was, move it away, or give another --output_dir"
        )


def save_results(path: Path, evaluation: Path, *, terms: Mapping[str, Any], machine: str, hours: float) -> None:
    """Save the scores that the table tells, by image, from an evaluation; an image that is its own group has none.

    Args:
        path: to write.
        evaluation: its folder.
        terms: of the training.
        machine: that trained, in words.
        hours: that training and evaluation took.
    """
    write_json(path.with_suffix(".json"), {"machine": machine, "hours": hours, "training": terms})
    root = read_json(evaluation / "summary.json")["images"]
    images = {os.path.relpath(image, root): row for image, row in read_scores(evaluation).items()}
    rows = [
        [image, "" if row["group"] == image else row["group"], *(row[name] for name in COLUMNS)]
        for image, row in images.items()
    ]
    write_csv(path, ["image", "group", *COLUMNS], rows)


def read_results(folder: Path, terms: Mapping[Contestant, Mapping[str, Any]], seeds: Sequence[int]) -> Results:
    """Read the scores of all trainings that are done.

    Args:
        folder: of the contest.
        terms: of who takes part.
        seeds: with which.

    Raises:
        InputError: if the scores are of another training, or of other images.
    """
    results: Results = {}
    for each in terms:
        for seed in seeds:
            path = results_path(folder, each, seed)
            if path.is_file():
                _check(path, read_json(path.with_suffix(".json")).get("training", {}), terms[each])
                results.setdefault(each, {})[seed] = {
                    image: {"group": row["group"] or image, **{name: float(row[name]) for name in COLUMNS}}
                    for image, row in read_scores(path).items()
                }
    images = {frozenset(table) for by_seed in results.values() for table in by_seed.values()}
    if len(images) > 1:
        raise InputError(f"{folder / 'results'} holds scores of different images; give another --output_dir")
    return results
