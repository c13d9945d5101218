# SPDX-License-Identifier: Apache-2.0

"""The scores of a contest's trainings, a line an image, with what tells one training from another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import read_json, write_csv, write_json
from ..evaluation.scores import read_scores
from ..training.fingerprint import check_terms
from .contestants import Contestant

__all__ = ["COLUMNS", "Results", "Table", "read_results", "results_path", "save_results"]

Table = dict[str, dict[str, Any]]  # by image its group and scores
Results = dict[Contestant, dict[int, Table]]  # by seed

#: scores by image that are kept
COLUMNS = ("dice", "iou", "mae", "hd95", "paper_dice", "paper_iou", "paper_mae")


def results_path(folder: Path, contestant: Contestant, seed: int) -> Path:
    """Where the scores of a training lie, a line an image; what it was and took lies beside it, as JSON."""
    return folder / "results" / f"{contestant.run(seed).replace('/', '.')}.csv"


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
                check_terms(path, read_json(path.with_suffix(".json")).get("training", {}), terms[each])
                results.setdefault(each, {})[seed] = {
                    image: {"group": row["group"] or image, **{name: float(row[name]) for name in COLUMNS}}
                    for image, row in read_scores(path).items()
                }
    images = {frozenset(table) for by_seed in results.values() for table in by_seed.values()}
    if len(images) > 1:
        raise InputError(f"{folder / 'results'} holds scores of different images; give another --output_dir")
    return results
