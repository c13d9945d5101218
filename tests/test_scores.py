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

from __future__ import annotations

import csv
import json

import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor

from scripts.scores import SaveScores


def evaluate(tmp_path, details: dict[str, torch.Tensor], names: list[str]) -> None:
    """An engine that sees one image an iteration and ends with the given scores."""
    engine = Engine(lambda engine, batch: None)

    @engine.on(Events.ITERATION_STARTED)
    def load(engine):
        name = names[engine.state.iteration - 1]
        engine.state.batch = [{"image": MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": name})}]

    @engine.on(Events.EPOCH_COMPLETED)
    def score(engine):
        engine.state.metric_details = details
        engine.state.metrics = {name: values.mean().item() for name, values in details.items()}

    protocols = {"": "plain scores", "paper_": "paper protocol"}
    SaveScores(tmp_path / "made", protocols=protocols, facts={"fold": 2}).attach(engine)
    engine.run([0] * len(names))


def test_a_line_an_image_and_the_means_by_protocol(tmp_path):
    names = ["/data/a.png", '/data/with, comma and "quotes".png']
    evaluate(tmp_path, {"dice": torch.tensor([[0.5], [1.0]]), "paper_dice": torch.tensor([[0.6], [1.0]])}, names)
    with open(tmp_path / "made" / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == names
    assert [float(row["dice"]) for row in rows] == [0.5, 1.0]
    summary = json.loads((tmp_path / "made" / "summary.json").read_text())
    assert summary["fold"] == 2 and summary["num_images"] == 2
    assert [group["protocol"] for group in summary["protocols"]] == ["plain scores", "paper protocol"]
    assert [list(group["scores"]) for group in summary["protocols"]] == [["dice"], ["dice"]]
    assert summary["protocols"][0]["scores"]["dice"] == 0.75


def test_each_class_has_a_column_beside_the_mean(tmp_path):
    evaluate(tmp_path, {"dice": torch.tensor([[0.2, 0.6]])}, ["a.png"])
    with open(tmp_path / "made" / "scores.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert {k: float(v) for k, v in row.items() if k != "image"} == {"dice": 0.4, "dice_1": 0.2, "dice_2": 0.6}
