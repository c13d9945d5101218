# SPDX-License-Identifier: Apache-2.0

"""Compare two evaluations of the same images: ``python -m scripts.comparison FIRST SECOND``, from the bundle."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from .common.errors import InputError
from .common.files import write_json
from .common.score_table import PAPER, parse_name
from .data.splits.protocols import protocol_of
from .evaluation.intervals import interval_text, mean_with_interval
from .evaluation.records import read_summary
from .evaluation.scores import read_scores, score_names

__all__ = ["compare", "main"]

# settings that the scores with the prefix paper_ depend on
_FITTED = ("spatial_size", "label_fit")


def compare(first: str | Path, second: str | Path) -> dict[str, Any]:
    """Compare two evaluations image by image.

    Args:
        first: path of a ``scores.csv``, or of the folder that contains it.
        second: path of another ``scores.csv`` or folder, for the same images.

    Returns:
        ``num_images``: the number of images that both evaluations have.
        ``left_out``: the number of images that only one of them has.
        ``protocols``: the meaning of the scores of both; empty if a ``scores.csv`` has no ``summary.json`` beside it.
        ``fitted_alike``: whether both evaluations fitted images and labels to the network's size in the same way. If
        not, the scores with the prefix ``paper_`` are left out, as they are computed from fitted images.
        ``scores``: by name, the means of ``first`` and ``second``, their ``difference`` (second - first), and the ends
        ``low`` and ``high`` of the 95 % interval of this difference, by the bootstrap over groups.

    Raises:
        InputError: if a table cannot be read or has a cell that is not a number; if the two have no image or no score
            in common; if their labels differ; or if they were scored with different classes, pixel sizes or tolerances.
    """
    tables = [read_scores(path) for path in (first, second)]
    summaries = [_summary(path) for path in (first, second)]
    protocols = []
    if all(summaries):
        protocols = [protocol_of(summary).text for summary in summaries]
        _check_alike(first, second, *summaries)
        # Compare paths inside the dataset, which may have been moved between the evaluations.
        tables = [
            {os.path.relpath(image, summary["images"]): row for image, row in table.items()}
            for table, summary in zip(tables, summaries)
        ]
    common = [image for image in tables[0] if image in tables[1]]
    if not common:
        raise InputError(f"{first} and {second} have no image in common; evaluate both on the same images")
    rows = [[table[image] for image in common] for table in tables]
    other = [image for image, *both in zip(common, *rows) if _labels_differ(*both)]
    if other:
        raise InputError(
            f"{other[0]} has another label in {first} than in {second} ({len(other)} such image(s)); evaluate both on "
            "the same images"
        )
    fitted_alike = all(summaries[0].get(name) == summaries[1].get(name) for name in _FITTED)
    scores = [name for name in score_names(rows[0][0]) if name in rows[1][0]]
    scores = [name for name in scores if fitted_alike or parse_name(name).prefix != PAPER]
    if not scores:
        raise InputError(f"{first} and {second} have no score in common; evaluate both with the same version")
    # Use the coarser groups of the two.
    groups = min(([row["group"] for row in table] for table in rows), key=lambda names: len(set(names)))
    left_out = len(tables[0]) + len(tables[1]) - 2 * len(common)
    differences = {}
    for name in scores:
        before, after = ([row[name] for row in table] for table in rows)
        differences[name] = _difference(before, after, groups)
    facts = {"num_images": len(common), "left_out": left_out, "protocols": protocols, "fitted_alike": fitted_alike}
    return {**facts, "scores": differences}


def _summary(path: str | Path) -> dict[str, Any]:
    """Read the summary of an evaluation; empty if there is no ``summary.json`` beside the table."""
    file = (Path(path) if Path(path).is_dir() else Path(path).parent) / "summary.json"
    return read_summary(file.parent, "images") if file.is_file() else {}


def _check_alike(first: str | Path, second: str | Path, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise an error if the two evaluations were scored in different ways."""
    for name in ("out_channels", "pixel_size", "tolerance"):
        if before.get(name) != after.get(name):
            raise InputError(
                f"{first} was scored with {name} {before.get(name)}, {second} with {after.get(name)}; evaluate both "
                "alike, by the same version"
            )


def _labels_differ(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether the label of an image has different numbers of pixels in two tables, in total or per class."""
    counts = [name for name in first.keys() & second.keys() if parse_name(name).base == "label_pixels"]
    return any(first[name] != second[name] for name in counts)


def _difference(first: Sequence[float], second: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    difference = mean_with_interval([b - a for a, b in zip(first, second)], groups)
    return {"first": mean(first), "second": mean(second), "difference": difference.pop("mean"), **difference}


def _text(comparison: Mapping[str, Any]) -> str:
    lines = [f"{'score':<14}{'first':>10}{'second':>10}{'difference':>12}   95 % interval"]
    for name, score in comparison["scores"].items():
        contains_zero = score["low"] is not None and score["low"] <= 0 <= score["high"]
        lines.append(
            f"{name:<14}{score['first']:>10.4f}{score['second']:>10.4f}{score['difference']:>+12.4f}   "
            f"{interval_text(score, '+.4f')}{'   (0 is in it)' if contains_zero else ''}"
        )
    if len(set(comparison["protocols"])) > 1:
        lines += [f"The {which}: {text}." for which, text in zip(("first", "second"), comparison["protocols"])]
    if not comparison["fitted_alike"]:
        lines.append(f"Scores of fitted images (paper_...) are left out, as {' or '.join(_FITTED)} differ.")
    lines.append(f"Means over {comparison['num_images']} images that both have; {comparison['left_out']} left out.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the comparison of two evaluations, and write it as JSON if a file is named.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.comparison", description=__doc__)
    parser.add_argument("first", help="folder of an evaluation, or its scores.csv")
    parser.add_argument("second", help="another evaluation of the same images")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args(arguments)
    try:
        comparison = compare(options.first, options.second)
    except InputError as error:
        parser.error(str(error))
    if options.json:
        write_json(options.json, comparison)
    print(_text(comparison))


if __name__ == "__main__":
    main()
