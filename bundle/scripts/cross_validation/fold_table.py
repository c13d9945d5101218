# SPDX-License-Identifier: Apache-2.0

"""The scores of all folds in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from ..common.files import read_json, write_json, write_text
from ..common.score_table import shown_in
from ..data.splits.protocols import protocol_of
from ..evaluation.intervals import interval_text, mean_with_interval
from ..evaluation.scores import read_scores, score_names

__all__ = ["write_fold_table"]


def write_fold_table(folder: Path, evaluations: Mapping[int, Path]) -> tuple[str, dict[str, float]]:
    """Write ``folds.md`` and ``folds.json``: each fold's means with intervals, and those of all images together.

    Args:
        folder: where to.
        evaluations: by fold, the folder of its evaluation.

    Returns:
        The table in Markdown, and the mean of every score over the images of all folds.

    Raises:
        InputError: if a fold's scores cannot be read, or hold what is no number.
    """
    rows = {fold: list(read_scores(path).values()) for fold, path in evaluations.items()}
    summary = read_json(next(iter(evaluations.values())) / "summary.json")
    every = [row for of_fold in rows.values() for row in of_fold]
    names = score_names(every[0])
    table: dict[str, Any] = {
        "protocol": summary["protocol"],
        "seen_in_training": sum(row.get("seen") == "yes" for row in every),
        "folds": {str(fold): _summed_up(of_fold, names) for fold, of_fold in rows.items()},
        "all": _summed_up(every, names),
    }
    for name in names:
        means = [each["scores"][name]["mean"] for each in table["folds"].values()]
        table["all"]["scores"][name]["sd_of_folds"] = stdev(means) if len(means) > 1 else None
    text = _text(table)
    write_json(folder / "folds.json", table)
    write_text(folder / "folds.md", text)
    return text, {name: table["all"]["scores"][name]["mean"] for name in names}


def _summed_up(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    groups = [row["group"] for row in rows]
    scores = {name: mean_with_interval([row[name] for row in rows], groups) for name in names}
    return {"num_images": len(rows), "num_groups": len(set(groups)), "scores": scores}


def _text(table: Mapping[str, Any]) -> str:
    names = [name for name in shown_in("folds") if name in table["all"]["scores"]]
    lines = [f"{protocol_of(table).text}; means over images, with 95 % intervals.", ""]
    if seen := table["seen_in_training"]:
        lines += [f"{seen} of the images had a part in training too, so the scores are too good.", ""]
    lines += [f"| fold | images | {' | '.join(names)} |", f"|{'---|' * (len(names) + 2)}"]
    for fold, found in [*table["folds"].items(), ("all", table["all"])]:
        cells = [
            f"{score['mean']:.4f} ({interval_text(score, '.4f')})"
            for score in (found["scores"][name] for name in names)
        ]
        lines.append(f"| {fold} | {found['num_images']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
