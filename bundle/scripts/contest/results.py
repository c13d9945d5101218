# SPDX-License-Identifier: Apache-2.0

"""The scores of a contest's trainings, a line an image, with what tells one training from another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import read_json, write_csv, write_json
from ..common.score_table import shown_in
from ..evaluation.scores import read_scores, score_text
from ..training.fingerprint import check_claim, is_comparable
from .contestants import Contestant

__all__ = ["Results", "Table", "read_results", "results_path", "save_results"]

Table = dict[str, dict[str, Any]]  # by image its group and scores
Results = dict[Contestant, dict[int, Table]]  # by seed


def results_path(folder: Path, contestant: Contestant, seed: int) -> Path:
    """Where the scores of a training lie, a line an image; what it was and took lies beside it, as JSON."""
    return folder / "results" / f"{contestant.run(seed).replace('/', '.')}.csv"


def save_results(path: Path, evaluation: Path, *, claim: Mapping[str, Any], machine: str, hours: float) -> None:
    """Save the scores that the table tells, by image, from an evaluation; an image that is its own group has none.

    Args:
        path: to write.
        evaluation: its folder.
        claim: of the training, from :py:func:`..training.fingerprint.claim_of`.
        machine: that trained, in words.
        hours: that training and evaluation took.

    Raises:
        InputError: if the evaluation's scores cannot be read, hold what is no number, or lack a score.
    """
    write_json(path.with_suffix(".json"), {"machine": machine, "hours": hours, "training": claim})
    root = read_json(evaluation / "summary.json")["images"]
    names, scored = _read_kept(evaluation)
    images = {os.path.relpath(image, root): row for image, row in scored.items()}
    rows = [
        [image, "" if row["group"] == image else row["group"], *(score_text(row[name]) for name in names)]
        for image, row in images.items()
    ]
    write_csv(path, ["image", "group", *names], rows)


def read_results(folder: Path, claims: Mapping[Contestant, Mapping[str, Any]], seeds: Sequence[int]) -> Results:
    """Read the scores of all trainings that are done.

    Scores that an earlier version of the bundle saved are read where all are: of those trainings the knobs, the split
    and the images are compared.

    Args:
        folder: of the contest.
        claims: of who takes part.
        seeds: with which.

    Raises:
        InputError: if the scores are of another training or of other images, cannot be read, hold what is no number,
            or lack a score; if only some are of an earlier version, and the others are of this one or still to be
            trained.
    """
    wanted = {(contestant, seed): results_path(folder, contestant, seed) for contestant in claims for seed in seeds}
    paths = {key: path for key, path in wanted.items() if path.is_file()}
    saved = {key: read_json(path.with_suffix(".json")).get("training", {}) for key, path in paths.items()}
    earlier = [key for key, claim in saved.items() if not is_comparable(claim, claims[key[0]])]
    if earlier and len(earlier) < len(wanted):
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
        names, rows = _read_kept(path)
        results.setdefault(contestant, {})[seed] = {
            image: {"group": row["group"] or image, **{name: row[name] for name in names}}
            for image, row in rows.items()
        }
    images = {frozenset(table) for by_seed in results.values() for table in by_seed.values()}
    if len(images) > 1:
        raise InputError(f"{folder / 'results'} holds scores of different images; give another --output_dir")
    return results


def _read_kept(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """The names of the scores that a contest keeps, and the rows by image of a table that has them all."""
    names, rows = shown_in("contest"), read_scores(path)
    missing = [name for name in names if name not in next(iter(rows.values()))]
    if missing:
        raise InputError(f"{path} is of another version, without {missing[0]}; give another --output_dir")
    return names, rows


def _without_sections(claim: Mapping[str, Any]) -> dict[str, Any]:
    """What a claim has in every version of the bundle; earlier ones had a digest in the place of sections."""
    return {name: value for name, value in claim.items() if name not in ("format", "sections", "config_digest")}
