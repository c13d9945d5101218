# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor

from scripts.common.errors import InputError
from scripts.evaluation.intervals import mean_interval
from scripts.evaluation.scores import SaveScores, read_scores, score_names


def evaluate(
    tmp_path: Path, details: dict[str, torch.Tensor], names: list[str], masks: list[tuple[list[int], list[int]]]
) -> dict:
    """An engine that sees one image an iteration and ends with the given scores; returns the summary.

    ``masks`` are the foreground pixels of label and prediction, by class.
    """
    engine = Engine(lambda engine, batch: None)

    def one_hot(pixels: list[int]) -> torch.Tensor:
        planes = torch.zeros(1 + len(pixels), 4, 4)
        for plane, count in zip(planes[1:], pixels):
            plane.view(-1)[:count] = 1
        return planes

    @engine.on(Events.ITERATION_STARTED)
    def load(engine):
        i = engine.state.iteration - 1
        image = MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": names[i]})
        engine.state.batch = [{"image": image, "group": f"group {i // 2}", "seen": ("yes", "no")[i % 2]}]

    @engine.on(Events.ITERATION_COMPLETED)
    def predict(engine):
        label, pred = masks[engine.state.iteration - 1]
        engine.state.output = [{"original_label": one_hot(label), "pred": one_hot(pred)}]

    @engine.on(Events.EPOCH_COMPLETED)
    def score(engine):
        engine.state.metric_details = details
        engine.state.metrics = {name: values.mean().item() for name, values in details.items()}

    protocols = {"": "plain scores", "paper_": "the paper's scoring"}
    SaveScores(tmp_path / "made", protocols=protocols, facts={"fold": 2}).attach(engine)
    for _ in range(2):  # a second run begins anew
        engine.run([0] * len(names))
    return json.loads((tmp_path / "made" / "summary.json").read_text())


def test_a_line_an_image_and_the_means_by_protocol(tmp_path):
    names = ["/data/a.png", '/data/b, with "quotes".png', "/data/c.png"]
    details = {"dice": torch.tensor([[0.5], [1.0], [0.6]]), "paper_dice": torch.tensor([[0.6], [1.0], [0.6]])}
    summary = evaluate(tmp_path, details, names, [([7], [5]), ([0], [0]), ([3], [4])])
    rows = read_scores(tmp_path / "made")
    assert list(rows) == names
    assert [float(row["dice"]) for row in rows.values()] == [0.5, 1.0, 0.6]
    assert [row["group"] for row in rows.values()] == ["group 0", "group 0", "group 1"]
    assert [row["seen"] for row in rows.values()] == ["yes", "no", "yes"]
    assert [(row["label_pixels"], row["pred_pixels"]) for row in rows.values()] == [(7, 5), (0, 0), (3, 4)]
    table = (tmp_path / "made" / "scores.csv").read_text().splitlines()
    assert table[0] == "image,group,seen,dice,paper_dice,label_pixels,pred_pixels"
    assert table[1] == "/data/a.png,group 0,yes,0.500000,0.600000,7,5"
    assert score_names(rows["/data/a.png"]) == ["dice", "paper_dice"]
    assert summary["fold"] == 2 and summary["num_images"] == 3 and summary["num_groups"] == 2
    assert [group["protocol"] for group in summary["protocols"]] == ["plain scores", "the paper's scoring"]
    assert [list(group["scores"]) for group in summary["protocols"]] == [["dice"], ["dice"]]
    dice = summary["protocols"][0]["scores"]["dice"]
    assert dice["mean"] == pytest.approx(0.7)
    assert (dice["low"], dice["high"]) == pytest.approx(mean_interval([0.5, 1.0, 0.6], ["a", "a", "b"]))


def test_lines_are_in_the_order_of_their_names(tmp_path):
    evaluate(tmp_path, {"dice": torch.tensor([[0.5], [1.0]])}, ["b.png", "a.png"], [([7], [5]), ([3], [4])])
    rows = read_scores(tmp_path / "made")
    assert [(name, float(row["dice"]), row["pred_pixels"]) for name, row in rows.items()] == [
        ("a.png", 1.0, 4),
        ("b.png", 0.5, 5),
    ]


def test_each_class_has_a_column_beside_the_mean(tmp_path):
    summary = evaluate(tmp_path, {"dice": torch.tensor([[0.2, 0.6]])}, ["a.png"], [([1, 2], [3, 4])])
    row = read_scores(tmp_path / "made")["a.png"]
    assert {name: float(row[name]) for name in score_names(row)} == {"dice": 0.4, "dice_1": 0.2, "dice_2": 0.6}
    assert (row["label_pixels"], row["label_pixels_2"], row["pred_pixels_1"]) == (3, 2, 3)
    by_class = summary["protocols"][0]["scores"]["dice"]["classes"]
    assert [score["mean"] for score in by_class] == [pytest.approx(0.2), pytest.approx(0.6)]


def test_misses_false_alarms_and_right_absence_are_counted(tmp_path):
    masks = [([5], [5]), ([5], [0]), ([0], [5]), ([0], [0]), ([4], [1]), ([0], [0])]
    names = [f"{i}.png" for i in range(6)]
    summary = evaluate(tmp_path, {"dice": torch.zeros(6, 1)}, names, masks)
    assert summary["classes"] == [{"id": 1, "images": 3, "missed": 1, "false_alarms": 1, "empty": 2}]


@pytest.mark.parametrize(
    "line, message",
    [
        ("b.png,g,high,0.5,7", "line 3 has 'high' as dice of b.png, which is no number; evaluate again"),
        ("b.png,g,0.5,,7", "line 3 has '' as hd95 of b.png, which is no number; evaluate again"),
        ("b.png,g,0.5,0.5,", "line 3 has '' as label_pixels of b.png, which is no number; evaluate again"),
        ("b.png,g,0.5,0.5", "line 3 has fewer cells than there are columns; evaluate again"),
        ("b.png,g,0.5,0.5,7,1", "line 3 has more cells than there are columns; evaluate again"),
    ],
)
def test_a_damaged_cell_is_refused_by_its_line_column_image_and_value(line, message, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(f"image,group,dice,hd95,label_pixels\na.png,1,0.5,2.25,7\n{line}\n")
    with pytest.raises(InputError) as error:
        read_scores(tmp_path)
    assert str(error.value) == f"{path}, {message}"
    path.write_text("image,group,dice,hd95,label_pixels\na.png,1,0.5,2.25,7\n")
    row = {"image": "a.png", "group": "1", "dice": 0.5, "hd95": 2.25, "label_pixels": 7}
    assert read_scores(path) == {"a.png": row}


def test_an_empty_cell_is_no_number_where_that_is_allowed(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("image,group,dice,hd95\na.png,1,,2.5\nb.png,1,0.5,\n")
    first, second = read_scores(path, allow_empty=True).values()
    assert math.isnan(first["dice"]) and first["hd95"] == 2.5
    assert second["dice"] == 0.5 and math.isnan(second["hd95"])
