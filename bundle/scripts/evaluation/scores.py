# SPDX-License-Identifier: Apache-2.0

"""Scores of an evaluation as files: a table with a line an image, and a summary of means and intervals."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.utils import evenly_divisible_all_gather

from ..common.errors import InputError
from ..common.files import write_csv, write_json
from ..common.score_table import COUNTS, parse_name, score_named
from .intervals import interval_text, mean_with_interval

__all__ = ["FACTS", "SaveScores", "read_scores", "score_names", "score_text"]

#: columns of a table that are no numbers
FACTS = ("image", "group", "seen")


class SaveScores:
    """Write ``scores.csv`` (a line an image) and ``summary.json`` (means over images) when an evaluation is complete.

    The scores are those in ``engine.state.metric_details``: per image and foreground class. A column bears the name of
    its score; with several foreground classes the class number follows (``dice_1``), beside the mean. ``label_pixels``
    and ``pred_pixels`` count each image's foreground, by class too. ``seen`` tells whether the model has seen the image
    in training: "yes", "no", or "unknown".

    The summary gives each mean with its 95 % interval by the bootstrap over groups, and counts per class the images
    that hold it, those where it was missed, falsely found, or rightly absent (``empty``).

    Args:
        output_dir: folder for both files, made if missing.
        protocols: what each group of scores is, by the prefix of its names ("" for the rest); shown with the scores.
        facts: JSON-serializable facts about the evaluation (checkpoint, fold, ...), copied into the summary.
    """

    def __init__(
        self, output_dir: str | os.PathLike, *, protocols: Mapping[str, str], facts: Mapping[str, Any]
    ) -> None:
        self.output_dir = Path(output_dir)
        self.protocols = dict(protocols)
        self.facts = dict(facts)
        self.names: list[str] = []
        self.groups: list[str] = []
        self.seen: list[str] = []
        self.pixels: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator whose metrics keep their details.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self)

    def _clear(self) -> None:
        for collected in (self.names, self.groups, self.seen, self.pixels):
            collected.clear()

    def _collect(self, engine: Engine) -> None:
        for item in _state(engine).batch:
            self.names.append(item["image"].meta["filename_or_obj"])
            self.groups.append(item["group"])
            self.seen.append(item["seen"])
        for output in _state(engine).output:
            masks = (output[key].flatten(1).sum(1)[1:] for key in ("original_label", "pred"))  # one-hot (K, H, W)
            self.pixels.append(torch.stack([mask.long().cpu() for mask in masks]))

    def __call__(self, engine: Engine) -> None:
        facts: Any = idist.all_gather(list(zip(self.names, self.groups, self.seen)))  # a list of each process
        names, groups, seen = map(list, zip(*chain(*facts)))
        pixels = evenly_divisible_all_gather(torch.stack(self.pixels).to(idist.device()), concat=True).cpu()
        if idist.get_rank() > 0:
            return
        order = sorted(range(len(names)), key=names.__getitem__)  # however many processes have shared the images
        names, groups, seen = ([each[i] for i in order] for each in (names, groups, seen))
        pixels = pixels[order]
        scored = {name: values[order] for name, values in _state(engine).metric_details.items()}
        details = scored | {"label_pixels": pixels[:, 0], "pred_pixels": pixels[:, 1]}  # (images, classes)
        _write_table(self.output_dir / "scores.csv", zip(names, groups, seen), details)
        summary = {
            **self.facts,
            "num_images": len(names),
            "num_groups": len(set(groups)),
            "classes": [_counts(pixels[:, 0, i], pixels[:, 1, i], i + 1) for i in range(pixels.shape[2])],
            "protocols": [
                {"protocol": what, "scores": {name: _summed_up(values, groups) for name, values in scores.items()}}
                for what, scores in self._by_protocol(scored)
            ],
        }
        write_json(self.output_dir / "summary.json", summary)
        self._log(summary)

    def _by_protocol(self, details: Mapping[str, torch.Tensor]) -> list[tuple[str, dict[str, torch.Tensor]]]:
        groups = []
        for prefix, what in self.protocols.items():
            scores = {
                name.removeprefix(prefix): values
                for name, values in details.items()
                if parse_name(name).prefix == prefix
            }
            groups.append((what, scores))
        return groups

    def _log(self, summary: Mapping[str, Any]) -> None:
        logger = logging.getLogger("qtseg")
        logger.info("scored:   " + ", ".join(f"{name} {value}" for name, value in self.facts.items()))
        for found in summary["classes"]:
            logger.info(
                f"class {found['id']}:  in {found['images']} of {summary['num_images']} images; missed in "
                f"{found['missed']}, falsely found in {found['false_alarms']}, rightly absent in {found['empty']}"
            )
        for group in summary["protocols"]:
            logger.info(f"{group['protocol']}; mean over {summary['num_images']} images, 95 % interval:")
            for name, value in group["scores"].items():
                logger.info(f"    {name:<12} {value['mean']:8.4f}  ({interval_text(value, '.4f')})")
        logger.info(f"every image's scores: {self.output_dir / 'scores.csv'}")
        logger.info(f"summary:              {self.output_dir / 'summary.json'}")


def read_scores(path: str | os.PathLike, *, allow_empty: bool = False) -> dict[str, dict[str, Any]]:
    """Read the table of an evaluation.

    Args:
        path: a ``scores.csv``, or the folder that holds it.
        allow_empty: whether a cell may be empty where a number should be; it is read as NaN.

    Returns:
        Its rows by image: of the columns ``FACTS`` the text, of all others the number.

    Raises:
        InputError: if the file cannot be read, is no such table, or holds what is no number; names the line, the
            column, the image and the value.
    """
    path = Path(path) / "scores.csv" if Path(path).is_dir() else Path(path)
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file, restval="")
            lines = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); name the folder of an evaluation") from error
    if not lines or not {"image", "group"} <= set(lines[0][1]):
        raise InputError(f"{path} is no table of scores; name the scores.csv of an evaluation")
    return {row["image"]: _read_row(row, f"{path}, line {line}", allow_empty) for line, row in lines}


def _read_row(row: Mapping[str, str], where: str, allow_empty: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column, text in row.items():
        if column is None:  # as the csv module names what follows the last column
            raise InputError(f"{where} has more cells than there are columns; evaluate again")
        try:
            values[column] = text if column in FACTS else float("nan" if allow_empty and not text else text)
        except ValueError as error:
            raise InputError(
                f"{where} has {text!r} as {column} of {row['image']}, which is no number; evaluate again"
            ) from error
    return values


def score_names(row: Mapping[str, Any]) -> list[str]:
    """The columns of a table's row that are scores."""
    others = {*FACTS, *(count.name for count in COUNTS)}
    return [name for name in row if parse_name(name).base not in others]


def score_text(number: float) -> str:
    """A score as the table has it, with 6 decimals."""
    return f"{number:.6f}"


def _write_table(path: Path, facts: Iterable[tuple[str, ...]], details: Mapping[str, torch.Tensor]) -> None:
    columns: dict[str, list[float]] = {}
    for score, values in details.items():
        columns[score] = (values.sum(1) if score_named(score).unit == "count" else values.mean(1)).tolist()
        if values.shape[1] > 1:
            columns.update({f"{score}_{i + 1}": values[:, i].tolist() for i in range(values.shape[1])})
    lines = zip(*columns.values())
    cells = ([cell if isinstance(cell, int) else score_text(cell) for cell in line] for line in lines)
    rows = ([*texts, *line] for texts, line in zip(facts, cells))
    write_csv(path, [*FACTS, *columns], rows)


def _summed_up(values: torch.Tensor, groups: Sequence[str]) -> dict[str, Any]:
    """Mean and interval of (images, classes) scores; of each class too, if there are several."""
    summed_up: dict[str, Any] = mean_with_interval(values.mean(1).tolist(), groups)
    if values.shape[1] > 1:
        summed_up["classes"] = [_summed_up(values[:, [i]], groups) for i in range(values.shape[1])]
    return summed_up


def _counts(label: torch.Tensor, pred: torch.Tensor, number: int) -> dict[str, int]:
    """Images by whether the class is there, from its pixels in each."""
    there, found = label > 0, pred > 0
    return {
        "id": number,
        "images": int(there.sum()),
        "missed": int((there & ~found).sum()),
        "false_alarms": int((~there & found).sum()),
        "empty": int((~there & ~found).sum()),
    }


def _state(engine: Engine) -> Any:
    """The engine's state; MONAI adds attributes to it that ignite does not declare."""
    return engine.state
