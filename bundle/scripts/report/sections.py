# SPDX-License-Identifier: Apache-2.0

"""Prepare the sections of the page: turn the files of an evaluation into what the templates show."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import read_csv
from ..common.score_table import KEY, VALIDATION, score_named, shown_in
from ..data.splits.leaks import leak_text
from ..data.splits.protocols import TRAINING_PROTOCOLS, UNKNOWN_START, protocol_of
from ..evaluation.records import read_calibration, read_data_check
from .cases import Case
from .charts import calibration_chart, curve_chart, dice_histogram
from .wording import number

__all__ = [
    "calibration",
    "case_table",
    "data_check",
    "facts",
    "headline",
    "histogram",
    "score_tables",
    "training",
]

_MOST_EPOCHS, _MOST_LOSS = 10**9, 1e300  # what a chart can show
_LISTED_FILES = 20  # at most so many files are listed for a problem
_NOT_FACTS = ("num_images", "num_groups", "classes", "protocols")
_SPREADS = {
    "height": "Height, pixels",
    "width": "Width, pixels",
    "low": "Lowest intensity",
    "high": "Highest intensity",
    "mean": "Mean intensity",
    "spread": "Spread of intensity",
}

Section = dict[str, Any]


def headline(summary: Mapping[str, Any]) -> Section:
    """Prepare the main scores of the first protocol, and a sentence on what they mean.

    Args:
        summary: content of the ``summary.json`` of the evaluation.
    """
    protocol = summary["protocols"][0]
    scores = [
        {"score": score_named(name), **_interval(name, protocol["scores"][name])}
        for name in shown_in("headline")
        if name in protocol["scores"]
    ]
    meaning, seen = protocol_of(summary).meaning, summary.get("seen_in_training")
    if seen and summary["protocol"] in TRAINING_PROTOCOLS:
        meaning = f"{seen} of the scored images had a part in the training too, so the scores are too good."
    if not summary.get("start_is_known", True):
        meaning += f" But {UNKNOWN_START}."
    return {"protocol": protocol["protocol"], "meaning": meaning, "scores": scores}


def score_tables(summary: Mapping[str, Any]) -> list[Section]:
    """Prepare all scores of every protocol, as means over the classes and per class.

    Args:
        summary: content of the ``summary.json`` of the evaluation.
    """
    tables = []
    for protocol in summary["protocols"]:
        rows = [
            {
                "score": score_named(name),
                "cells": [_interval(name, value) for value in (values, *values.get("classes", []))],
            }
            for name, values in protocol["scores"].items()
        ]
        tables.append({"protocol": protocol["protocol"], "rows": rows})
    return tables


def facts(summary: Mapping[str, Any]) -> dict[str, str]:
    """Prepare the facts about what was evaluated, as texts by name.

    Args:
        summary: content of the ``summary.json`` of the evaluation.
    """
    values = {name.replace("_", " "): value for name, value in summary.items() if name not in _NOT_FACTS}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def training(path: Path | None, run: str | None) -> Section:
    """Prepare the curves of the training.

    Args:
        path: path of the ``curves.csv`` of the training; None if no file was named.
        run: name of the training of the model; None if it is not on record.

    Raises:
        InputError: if the file is not a table of curves, or has a cell that is not a number.
    """
    if path is None:
        return {"missing": "No training curves: no curves.csv was named for this report."}
    if not path.is_file():
        return {"missing": f"No training curves: {path} is not there; a training writes it beside its model."}
    lines = read_csv(path, cure="name a training's curves.csv by --curves")
    others = {line["run"] for line in lines if line.get("run")} - {run}
    if others:
        other, model_run = others.pop(), run or "another training"
        return {"missing": f"No training curves: {path} is of {other}, but the model is of {model_run}."}
    key = f"{VALIDATION}{KEY}"
    charts = []
    for column, label, top in (("train_loss", "Training loss", None), (key, score_named(key).label, 1.0)):
        points = _curve(path, lines, column)
        if points:
            charts.append({"label": label, "svg": curve_chart(column.replace("_", "-"), label, points, top=top)})
    if not charts:
        return {"missing": f"No training curves: {path} has neither a training loss nor a validation Dice."}
    return {"charts": charts, "path": str(path)}


def histogram(cases: Sequence[Case]) -> Section:
    """Prepare the histogram of the Dice of the images.

    Args:
        cases: cases of the evaluation.
    """
    values = [case.scores["dice"] for case in cases if not math.isnan(case.scores["dice"])]
    if not values:
        return {"missing": "No histogram: no image has a Dice."}
    return {"svg": dice_histogram(values)}


def calibration(path: Path) -> Section:
    """Prepare the comparison of predicted probabilities with how often they are true.

    Args:
        path: path of ``calibration.json``.
    """
    if not path.is_file():
        return {"missing": f"No calibration: {path.name} is not there, as the evaluation did not record probabilities."}
    report = read_calibration(path)
    names = {"error": "expected_calibration_error", "error_above": "expected_calibration_error_above_first_bin"}
    rows = [
        {
            "range": f"{row['low']:.3f} to {row['high']:.3f}",
            "count": number(row["count"], "count"),
            "mean": number(row["mean_probability"]),
            "frequency": number(row["frequency"]),
        }
        for row in report["bins"]
    ]
    errors = {name: number(report[key]) for name, key in names.items()}
    count = number(sum(row["count"] for row in report["bins"]), "count")
    return {"svg": calibration_chart(report["bins"]), "rows": rows, "count": count, **errors}


def data_check(path: Path, names: Mapping[str, str]) -> Section:
    """Prepare the results of the check of images and labels.

    Args:
        path: path of ``data_check.json``.
        names: names of the images that the page shows, by path.
    """
    if not path.is_file():
        return {"missing": f"No data check: {path.name} is not there, as the evaluation did not check its data."}
    report = read_data_check(path)
    problems = [
        {**problem, **_listed([names.get(file, file) for file in problem["files"]])} for problem in report["problems"]
    ]
    leaks = [
        {"text": leak_text(leak), **_listed([_image_pair(images) for images in leak["groups"]], leak["num_groups"])}
        for leak in report.get("leaks", [])
    ]
    spreads = {**report.get("sizes", {}), **report.get("intensities", {})}
    return {
        "images": report["num_images"],
        "problems": problems,
        "leaks": leaks,
        "near_duplicates": report["num_near_duplicates"],
        "spreads": {_SPREADS[name]: _quartiles(spread) for name, spread in spreads.items()},
        "classes": report.get("classes", []),
    }


def case_table(cases: Sequence[Case], names: Mapping[str, str]) -> Section:
    """Prepare the table of all cases, for the script of the page.

    Args:
        cases: cases of the evaluation.
        names: names of the images that the page shows, by path.
    """
    scores = {name: score_named(name) for name in cases[0].scores}
    columns = [("File", "text"), ("Group", "text"), *((score.label, score.unit) for score in scores.values())]
    rows = [
        [names[case.image], case.group, *(None if math.isnan(value) else value for value in case.scores.values())]
        for case in cases
    ]
    sorted_by = 2 + list(scores).index("dice")
    return {"columns": [{"label": label, "kind": kind} for label, kind in columns], "rows": rows, "sorted": sorted_by}


def _interval(name: str, value: Mapping[str, Any]) -> dict[str, str]:
    unit = score_named(name).unit
    mean, low, high = (number(value[key], unit) for key in ("mean", "low", "high"))
    return {"mean": mean, "interval": low if value["low"] is None else f"{low} to {high}"}


def _curve(path: Path, lines: Sequence[Mapping[str, str]], column: str) -> list[tuple[float, float]]:
    try:
        points = [(int(line["epoch"]), float(line[column])) for line in lines if line.get(column)]
        if any(not 1 <= epoch <= _MOST_EPOCHS for epoch, _ in points):
            raise ValueError(f"an epoch that is not 1 to {_MOST_EPOCHS}")
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is no table of training curves ({error}); name a training's curves.csv") from error
    return [point for point in points if abs(point[1]) < _MOST_LOSS]


def _listed(files: Sequence[str], count: int | None = None) -> dict[str, Any]:
    return {"files": list(files[:_LISTED_FILES]), "more": max(0, (count or len(files)) - _LISTED_FILES)}


def _image_pair(images: Mapping[str, str]) -> str:
    """Name the images of a leak, with the parts of the split that they are in."""
    return " and ".join(f"{image} ({part})" for part, image in images.items())


def _quartiles(spread: Mapping[str, float]) -> list[str]:
    return [f"{round(spread[key], 1):g}" for key in ("min", "lower", "median", "upper", "max")]
