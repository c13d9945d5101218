# SPDX-License-Identifier: Apache-2.0

"""Summarize the scores of all folds in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from ..common.files import write_json, write_text
from ..common.score_table import shown_in
from ..data.splits.protocols import protocol_of
from ..evaluation.intervals import interval_text, mean_with_interval
from ..evaluation.records import read_summary
from ..evaluation.scores import read_scores, score_names

__all__ = ["write_fold_table"]


def write_fold_table(folder: Path, evaluations: Mapping[int, Path]) -> tuple[str, dict[str, float]]:
    """Write ``folds.md`` and ``folds.json``, with means and intervals of every fold and of all images together.

    Args:
        folder: folder where both files are written.
        evaluations: the folders of the evaluations, by number of the fold.

    Returns:
        The table in Markdown, and the mean of every score over the images of all folds, by name. A score that not all
        folds have, because an earlier version scored some of them, is left out.

    Raises:
        InputError: if the scores of a fold cannot be read, or have a cell that is not a number.
    """
    rows = {fold: list(read_scores(path).values()) for fold, path in evaluations.items()}
    summary = read_summary(next(iter(evaluations.values())))
    all_rows = [row for fold_rows in rows.values() for row in fold_rows]
    names = [name for name in score_names(all_rows[0]) if all(name in row for row in all_rows)]
    table: dict[str, Any] = {
        "protocol": summary.get("protocol"),
        "seen_in_training": sum(row.get("seen") == "yes" for row in all_rows),
        "folds": {str(fold): _summarize(fold_rows, names) for fold, fold_rows in rows.items()},
        "all": _summarize(all_rows, names),
    }
    for name in names:
        means = [summary["scores"][name]["mean"] for summary in table["folds"].values()]
        table["all"]["scores"][name]["sd_of_folds"] = stdev(means) if len(means) > 1 else None
    text = _text(table)
    write_json(folder / "folds.json", table)
    write_text(folder / "folds.md", text)
    return text, {name: table["all"]["scores"][name]["mean"] for name in names}


def _summarize(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    groups = [row["group"] for row in rows]
    scores = {name: mean_with_interval([row[name] for row in rows], groups) for name in names}
    return {"num_images": len(rows), "num_groups": len(set(groups)), "scores": scores}


def _text(table: Mapping[str, Any]) -> str:
    names = [name for name in shown_in("folds") if name in table["all"]["scores"]]
    lines = [f"{protocol_of(table).text}; means over images, with 95 % intervals.", ""]
    if seen := table["seen_in_training"]:
        lines += [f"{seen} of the images had a part in training too, so the scores are too good.", ""]
    lines += [f"| fold | images | {' | '.join(names)} |", f"|{'---|' * (len(names) + 2)}"]
    for fold, summary in [*table["folds"].items(), ("all", table["all"])]:
        cells = [
            f"{score['mean']:.4f} ({interval_text(score, '.4f')})"
            for score in (summary["scores"][name] for name in names)
        ]
        lines.append(f"| {fold} | {summary['num_images']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
