# SPDX-License-Identifier: Apache-2.0

"""Save and read the results of a contest: scores per image, and the settings that they were computed with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import read_json, write_csv, write_json
from ..common.score_table import shown_in
from ..evaluation.records import read_summary
from ..evaluation.scores import read_scores, score_text
from ..training.fingerprint import FINGERPRINT, check_claim, is_comparable
from .contestants import Contestant

__all__ = ["Results", "Table", "read_record", "read_results", "results_path", "save_results"]

_RECORD = {
    "required": ["machine", "hours"],
    "properties": {"machine": {"type": "string"}, "hours": {"type": "number", "minimum": 0}, "training": FINGERPRINT},
}

Table = dict[str, dict[str, Any]]  # group and scores, by image
Results = dict[Contestant, dict[int, Table]]  # tables by contestant and seed


def results_path(folder: Path, contestant: Contestant, seed: int) -> Path:
    """Return the path of the table of scores of a training.

    A JSON file beside it, with the same stem, has the settings of the training, the machine and the hours it took.
    """
    return folder / "results" / f"{contestant.run(seed).replace('/', '.')}.csv"


def save_results(path: Path, evaluation: Path, *, claim: Mapping[str, Any], machine: str, hours: float) -> None:
    """Save the scores of an evaluation that the table of a contest shows.

    Paths of images are saved relative to the dataset. The group of an image that is a group of its own is left empty.

    Args:
        path: path of the table to write, from :py:func:`results_path`.
        evaluation: folder of the evaluation.
        claim: claim of the training, from :py:func:`..training.fingerprint.claim_of`.
        machine: description of the machine that trained.
        hours: hours that training and evaluation took together.

    Raises:
        InputError: if the scores cannot be read, have a cell that is not a number, or lack a score.
    """
    write_json(path.with_suffix(".json"), {"machine": machine, "hours": hours, "training": claim})
    root = read_summary(evaluation, "images")["images"]
    names, table = _read_table(evaluation)
    images = {os.path.relpath(image, root): row for image, row in table.items()}
    rows = [
        [image, "" if row["group"] == image else row["group"], *(score_text(row[name]) for name in names)]
        for image, row in images.items()
    ]
    write_csv(path, ["image", "group", *names], rows)


def read_record(path: Path) -> dict[str, Any]:
    """Read what :py:func:`save_results` saved beside a table: the machine, the hours and the claim of the training.

    Args:
        path: path of the table, from :py:func:`results_path`.

    Raises:
        InputError: if the file cannot be read, or has another form.
    """
    return read_json(path.with_suffix(".json"), cure="remove it with its table, to train again", schema=_RECORD)


def read_results(folder: Path, claims: Mapping[Contestant, Mapping[str, Any]], seeds: Sequence[int]) -> Results:
    """Read the scores of all complete trainings.

    Scores that an earlier version of the bundle saved are read only if all scores are from an earlier version. Of such
    trainings, only the knobs, the split and the images are compared with the claims.

    Args:
        folder: folder of the contest.
        claims: claims of the trainings, by contestant.
        seeds: seeds of the trainings.

    Returns:
        Groups and scores of the images, by contestant, seed and image.

    Raises:
        InputError: if scores belong to another training or other images; if they cannot be read, have a cell that is
            not a number, or lack a score; or if some scores are from an earlier version, and others are from this
            version or not complete yet.
    """
    all_paths = {(contestant, seed): results_path(folder, contestant, seed) for contestant in claims for seed in seeds}
    paths = {key: path for key, path in all_paths.items() if path.is_file()}
    saved = {key: read_record(path).get("training", {}) for key, path in paths.items()}
    earlier = [key for key, claim in saved.items() if not is_comparable(claim, claims[key[0]])]
    if earlier and len(earlier) < len(all_paths):
        raise InputError(
            f"{paths[earlier[0]]} is of an earlier version of the bundle, whose trainings cannot be compared with "
            "those of this one; ask for networks, recipes and seeds that are all of one version, or give another "
            "--output_dir"
        )
    results: Results = {}
    for (contestant, seed), path in paths.items():
        claim, claim_now = saved[contestant, seed], claims[contestant]
        if earlier:
            claim, claim_now = _without_sections(claim), _without_sections(claim_now)
        check_claim(path, claim, claim_now)
        names, rows = _read_table(path)
        results.setdefault(contestant, {})[seed] = {
            image: {"group": row["group"] or image, **{name: row[name] for name in names}}
            for image, row in rows.items()
        }
    images = {frozenset(table) for by_seed in results.values() for table in by_seed.values()}
    if len(images) > 1:
        raise InputError(f"{folder / 'results'} holds scores of different images; give another --output_dir")
    return results


def _read_table(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Return the names of the scores that a contest shows, and the rows of a table, which must have them, by image."""
    names, rows = shown_in("contest"), read_scores(path)
    missing = [name for name in names if name not in next(iter(rows.values()))]
    if missing:
        raise InputError(f"{path} is of another version, without {missing[0]}; give another --output_dir")
    return names, rows


def _without_sections(claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a claim has in all versions; in earlier versions, a digest was in the place of the sections."""
    return {name: value for name, value in claim.items() if name not in ("format", "sections", "config_digest")}
