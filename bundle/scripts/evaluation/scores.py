# SPDX-License-Identifier: Apache-2.0

"""Save the scores of an evaluation: a table with one line per image, and a summary of means and intervals."""

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

#: The columns of a table that hold text instead of numbers.
FACTS = ("image", "group", "seen")


class SaveScores:
    """Write ``scores.csv`` (one line per image) and ``summary.json`` (means over images) at the end of an evaluation.

    The scores are read from ``engine.state.metric_details``, which has one score per image and foreground class. A
    column has the name of its score. If there are several foreground classes, this column is the mean over them, and
    every class has a column of its own, such as ``dice_1``. The columns ``label_pixels`` and ``pred_pixels`` count the
    foreground pixels of the image, in total and per class. The column ``seen`` says whether the model saw the image in
    training: "yes", "no", or "unknown".

    The summary has the mean of every score, with its 95 % interval by the bootstrap over groups. For every class, it
    counts the images that contain the class, those in which the model missed it, those in which the model predicted it
    wrongly (``false_alarms``), and those in which it is rightly absent (``empty``).

    Args:
        output_dir: folder for both files; it is created if it does not exist.
        protocols: description of every group of scores, by the prefix of their names ("" for names without a prefix);
            it is shown with the scores.
        facts: JSON-serializable facts about the evaluation (checkpoint, fold, ...), which are copied into the summary.
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
        """Register the handler with an evaluator.

        Args:
            engine: the evaluator; its metrics must save their details.
        """
        engine.add_event_handler(Events.STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self)

    def _clear(self) -> None:
        for values in (self.names, self.groups, self.seen, self.pixels):
            values.clear()

    def _collect(self, engine: Engine) -> None:
        for item in _state(engine).batch:
            self.names.append(item["image"].meta["filename_or_obj"])
            self.groups.append(item["group"])
            self.seen.append(item["seen"])
        for output in _state(engine).output:
            masks = (output[key].flatten(1).sum(1)[1:] for key in ("original_label", "pred"))  # one-hot (K, H, W)
            self.pixels.append(torch.stack([mask.long().cpu() for mask in masks]))

    def __call__(self, engine: Engine) -> None:
        """Write both files, from the images of all processes, and log the means.

        Args:
            engine: the evaluator, at the end of its run.
        """
        facts: Any = idist.all_gather(list(zip(self.names, self.groups, self.seen)))  # one list per process
        names, groups, seen = map(list, zip(*chain(*facts)))
        pixels = evenly_divisible_all_gather(torch.stack(self.pixels).to(idist.device()), concat=True).cpu()
        if idist.get_rank() > 0:
            return
        # The order of the lines must not depend on how many processes shared the images.
        order = sorted(range(len(names)), key=names.__getitem__)
        names, groups, seen = ([column[i] for i in order] for column in (names, groups, seen))
        pixels = pixels[order]
        scores = {name: values[order] for name, values in _state(engine).metric_details.items()}
        details = scores | {"label_pixels": pixels[:, 0], "pred_pixels": pixels[:, 1]}  # (images, classes)
        _write_table(self.output_dir / "scores.csv", zip(names, groups, seen), details)
        summary = {
            **self.facts,
            "num_images": len(names),
            "num_groups": len(set(groups)),
            "classes": [_counts(pixels[:, 0, i], pixels[:, 1, i], i + 1) for i in range(pixels.shape[2])],
            "protocols": [
                {"protocol": protocol, "scores": {name: _summarize(values, groups) for name, values in part.items()}}
                for protocol, part in self._by_protocol(scores)
            ],
        }
        write_json(self.output_dir / "summary.json", summary)
        self._log(summary)

    def _by_protocol(self, details: Mapping[str, torch.Tensor]) -> list[tuple[str, dict[str, torch.Tensor]]]:
        groups = []
        for prefix, protocol in self.protocols.items():
            scores = {
                name.removeprefix(prefix): values
                for name, values in details.items()
                if parse_name(name).prefix == prefix
            }
            groups.append((protocol, scores))
        return groups

    def _log(self, summary: Mapping[str, Any]) -> None:
        logger = logging.getLogger("qtseg")
        logger.info("scored:   " + ", ".join(f"{name} {value}" for name, value in self.facts.items()))
        for counts in summary["classes"]:
            logger.info(
                f"class {counts['id']}:  in {counts['images']} of {summary['num_images']} images; missed in "
                f"{counts['missed']}, falsely found in {counts['false_alarms']}, rightly absent in {counts['empty']}"
            )
        for group in summary["protocols"]:
            logger.info(f"{group['protocol']}; mean over {summary['num_images']} images, 95 % interval:")
            for name, value in group["scores"].items():
                logger.info(f"    {name:<12} {value['mean']:8.4f}  ({interval_text(value, '.4f')})")
        logger.info(f"every image's scores: {self.output_dir / 'scores.csv'}")
        logger.info(f"summary:              {self.output_dir / 'summary.json'}")


def read_scores(path: str | os.PathLike, *, allow_empty: bool = False) -> dict[str, dict[str, Any]]:
    """Read the table of scores that an evaluation wrote.

    Args:
        path: path of a ``scores.csv``, or of the folder that contains it.
        allow_empty: whether a cell may be empty where a number is expected; it is read as NaN.

    Returns:
        The rows of the table, by image. A row has the text of the columns ``FACTS``, and the numbers of all others.

    Raises:
        InputError: if the file cannot be read, is not a table of scores, or has a cell that is not a number. For a
            cell, the message names the line, the column, the image and the value.
    """
    path = Path(path) / "scores.csv" if Path(path).is_dir() else Path(path)
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            lines = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); name the folder of an evaluation") from error
    if not lines or not {"image", "group"} <= set(lines[0][1]):
        raise InputError(f"{path} is no table of scores; name the scores.csv of an evaluation")
    return {row["image"]: _read_row(row, f"{path}, line {line}", allow_empty) for line, row in lines}


def _read_row(row: Mapping[str | None, str | None], where: str, allow_empty: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column, text in row.items():
        if column is None or text is None:  # the csv module puts cells beyond the last column under the key None
            number = "more" if column is None else "fewer"
            raise InputError(f"{where} has {number} cells than there are columns; evaluate again")
        try:
            values[column] = text if column in FACTS else float("nan" if allow_empty and not text else text)
        except ValueError as error:
            raise InputError(
                f"{where} has {text!r} as {column} of {row['image']}, which is no number; evaluate again"
            ) from error
    return values


def score_names(row: Mapping[str, Any]) -> list[str]:
    """Return the columns of a row that are scores, in the order of the row."""
    others = {*FACTS, *(count.name for count in COUNTS)}
    return [name for name in row if parse_name(name).base not in others]


def score_text(number: float) -> str:
    """Format a score as it is written to the table, with 6 decimals."""
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


def _summarize(values: torch.Tensor, groups: Sequence[str]) -> dict[str, Any]:
    """Return mean and interval of (images, classes) scores; if there are several classes, of every class too."""
    summary: dict[str, Any] = mean_with_interval(values.mean(1).tolist(), groups)
    if values.shape[1] > 1:
        summary["classes"] = [_summarize(values[:, [i]], groups) for i in range(values.shape[1])]
    return summary


def _counts(label: torch.Tensor, pred: torch.Tensor, number: int) -> dict[str, int]:
    """Count images by whether they have a class, from its pixels in their labels and predictions, both (images,)."""
    labeled, predicted = label > 0, pred > 0
    return {
        "id": number,
        "images": int(labeled.sum()),
        "missed": int((labeled & ~predicted).sum()),
        "false_alarms": int((~labeled & predicted).sum()),
        "empty": int((~labeled & ~predicted).sum()),
    }


def _state(engine: Engine) -> Any:
    """Return the state of the engine. MONAI adds attributes to it that ignite does not declare."""
    return engine.state
