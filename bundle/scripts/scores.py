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

"""Scores of an evaluation as files: a table with a line an image, and a summary."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.utils import string_list_all_gather

__all__ = ["SaveScores"]


class SaveScores:
    """Write ``scores.csv`` (a line an image) and ``summary.json`` (means over images) when an evaluation is complete.

    The scores are those in ``engine.state.metric_details``: per image and foreground class, in [0, 1]. A column bears
    the name of its score; with several foreground classes the class number follows (``dice_1``), beside the mean.

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

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator whose metrics keep their details.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self.names.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect_names)
        engine.add_event_handler(Events.COMPLETED, self)

    def _collect_names(self, engine: Engine) -> None:
        self.names.extend(item["image"].meta["filename_or_obj"] for item in _state(engine).batch)

    def __call__(self, engine: Engine) -> None:
        names = string_list_all_gather(self.names)
        if idist.get_rank() > 0:
            return
        columns: dict[str, list[float]] = {}
        for score, details in _state(engine).metric_details.items():
            columns[score] = details.mean(1).tolist()
            if details.shape[1] > 1:
                columns.update({f"{score}_{i + 1}": details[:, i].tolist() for i in range(details.shape[1])})
        self.output_dir.mkdir(parents=True, exist_ok=True)
        with open(self.output_dir / "scores.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *columns])
            for name, *values in zip(names, *columns.values()):
                writer.writerow([name, *(f"{value:.6f}" for value in values)])
        summary = {**self.facts, "num_images": len(names), "protocols": self._grouped(engine.state.metrics)}
        with open(self.output_dir / "summary.json", "w", encoding="utf-8") as file:
            json.dump(summary, file, indent=2)
            file.write("\n")
        self._log(summary)

    def _grouped(self, metrics: Mapping[str, float]) -> list[dict[str, Any]]:
        groups = []
        for prefix, description in self.protocols.items():
            others = tuple(other for other in self.protocols if len(other) > len(prefix))
            scores = {
                name.removeprefix(prefix): value
                for name, value in metrics.items()
                if name.startswith(prefix) and not (others and name.startswith(others))
            }
            groups.append({"protocol": description, "scores": scores})
        return groups

    def _log(self, summary: Mapping[str, Any]) -> None:
        logger = logging.getLogger("qtseg")
        logger.info("scored:   " + ", ".join(f"{name} {value}" for name, value in self.facts.items()))
        for group in summary["protocols"]:
            values = "  ".join(f"{name} {value:.4f}" for name, value in group["scores"].items())
            logger.info(f"{values}  ({group['protocol']}; mean over {summary['num_images']} images)")
        logger.info(f"every image's scores: {self.output_dir / 'scores.csv'}")
        logger.info(f"summary:              {self.output_dir / 'summary.json'}")


def _state(engine: Engine) -> Any:
    """The engine's state; MONAI adds attributes to it that ignite does not declare."""
    return engine.state
