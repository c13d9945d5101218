# SPDX-License-Identifier: Apache-2.0

"""The table of scores, and that a row of it is all that reports, tables and handlers need to know of a score."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ignite.engine import Engine

from evaluations import Page, evaluate
from scripts.common import score_table
from scripts.common.score_table import (
    COUNTS,
    PAPER,
    SCORES,
    PixelCounts,
    Score,
    ScoreName,
    lower_is_better,
    parse_name,
    score_named,
    shown_in,
)
from scripts.comparison import main
from scripts.contest.contestants import Contestant
from scripts.contest.results import read_results, results_path, save_results
from scripts.contest.table import write_contest
from scripts.cross_validation.fold_table import write_fold_table
from scripts.evaluation.metric_handlers import build_metrics
from scripts.evaluation.metrics import ConfusionScore
from scripts.report.page import write_report
from scripts.training.handlers import BestScores
from workflows import BUNDLE

PAGE = (BUNDLE / "docs" / "evaluation.md").read_text(encoding="utf-8")

ROWS = {
    "dice": ("Dice", "share", "higher"),
    "iou": ("IoU", "share", "higher"),
    "mae": ("MAE", "share", "lower"),
    "accuracy": ("Accuracy", "share", "higher"),
    "sensitivity": ("Sensitivity", "share", "higher"),
    "precision": ("Precision", "share", "higher"),
    "hd95": ("HD95", "distance", "lower"),
    "asd": ("ASD", "distance", "lower"),
    "nsd": ("NSD", "share", "higher"),
    "object_f1": ("Object F1", "share", "higher"),
    "label_pixels": ("Label, pixels", "count", ""),
    "pred_pixels": ("Prediction, pixels", "count", ""),
}

#: The score of each formula for 4 true positives, 1 false positive, 9 true negatives and 2 false negatives.
VALUES = {
    "dice": 8 / 11,
    "iou": 4 / 7,
    "mae": 3 / 16,
    "accuracy": 13 / 16,
    "sensitivity": 4 / 6,
    "precision": 4 / 5,
}


@pytest.mark.parametrize("name", ROWS)
def test_a_score_has_its_label_unit_and_direction(name):
    row = score_named(name)
    assert (row.name, row.label, row.unit, row.better) == (name, *ROWS[name])


def test_every_score_has_words_and_a_direction_and_a_name_of_its_own():
    assert all(row.label and row.meaning and row.better for row in SCORES)
    names = [row.name for row in (*SCORES, *COUNTS)]
    assert len(set(names)) == len(names) and set(names) >= set(ROWS)
    assert all(parse_name(name) == ScoreName("", name, None) for name in names)


def test_the_page_explains_every_score():
    table = PAGE.split("| score | better | meaning |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [f"| `{row.name}` | {row.better} | {row.meaning} |" for row in SCORES]
    paper = [f"`{PAPER}{row.name}`" for row in SCORES if row.paper is not None]
    assert f"{', '.join(paper[:-1])} and {paper[-1]}" in " ".join(PAGE.split())


def test_every_formula_has_its_right_value():
    counts = PixelCounts(tp=4, fp=1, tn=9, fn=2, pixels=16)
    ratios = {row.name: row.ratio(counts) for row in SCORES if row.ratio is not None}
    assert {name: numerator / denominator for name, (numerator, denominator) in ratios.items()} == VALUES


@pytest.mark.parametrize(
    "place, names",
    [
        ("headline", "dice iou sensitivity precision hd95 nsd"),
        ("folds", "dice iou sensitivity precision hd95 nsd paper_dice"),
        ("contest", "dice iou mae hd95 paper_dice paper_iou paper_mae"),
        ("validation", "dice iou mae accuracy"),
    ],
)
def test_a_place_shows_its_scores_in_their_order(place, names):
    assert [name for name in shown_in(place) if parse_name(name).base in ROWS] == names.split()


@pytest.mark.parametrize(
    "name, label, unit",
    [
        ("dice", "Dice", "share"),
        ("dice_12", "Dice, class 12", "share"),
        ("val_dice", "Validation Dice", "share"),
        ("paper_iou_2", "Paper's IoU, class 2", "share"),
        ("hd95", "HD95", "distance"),
        ("hd95_1", "HD95, class 1", "distance"),
        ("object_f1", "Object F1", "share"),
        ("label_pixels_2", "Label, pixels, class 2", "count"),
        ("own_score_2", "own_score_2", "share"),
    ],
)
def test_scores_are_named_for_readers(name, label, unit):
    score = score_named(name)
    assert (score.label, score.unit) == (label, unit)


def test_lower_is_better_for_errors_and_distances_only():
    better = {name: score_named(name).better for name in ("dice", "nsd", "mae", "hd95", "paper_mae", "pred_pixels")}
    assert better == dict(dice="higher", nsd="higher", mae="lower", hd95="lower", paper_mae="lower", pred_pixels="")
    assert [lower_is_better(name) for name in ("dice", "val_mae", "paper_mae_2", "hd95_1")] == [False, True, True, True]
    for name in ("label_pixels", "own_mae"):
        with pytest.raises(ValueError, match=f"{name} has no direction in the table of scores"):
            lower_is_better(name)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("paper_dice_2", ("paper_", "dice", 2)),
        ("val_iou", ("val_", "iou", None)),
        ("pred_pixels_10", ("", "pred_pixels", 10)),
        ("paper_own_2", ("paper_", "own_2", None)),
        ("seen", ("", "seen", None)),
    ],
)
def test_names_are_split_into_their_parts(name, parts):
    assert parse_name(name) == parts


@pytest.fixture
def planted(monkeypatch) -> str:
    """A row with a name that misleads whoever guesses by its ends."""
    places = ("headline", "folds", "contest", "validation")
    row = Score("image_gain_50", "Gap", "distance", "lower", "a distance for this test", places)
    monkeypatch.setattr(score_table, "SCORES", (*SCORES, row._replace(ratio=lambda n: (n.fp + n.fn, n.pixels))))
    return row.name


@pytest.fixture
def folder(planted, tmp_path):
    names = [f"{i}.png" for i in range(6)]
    more = {name: ConfusionScore(planted) for name in shown_in("contest") if name != "hd95"}  # all that it reads
    return evaluate(tmp_path, names, num_classes=3, more=more)


def test_a_row_alone_brings_a_score_into_the_report(folder, planted):
    page = Page(write_report(folder))
    scores = json.loads((folder / "summary.json").read_text())["protocols"][0]["scores"]
    mean = f"{scores[planted]['mean']:.2f}"  # the digits of a distance
    arrows = [each.get("aria-label") for each in page.attributes("span") if each.get("class") == "better"]
    assert f"Gap ↓ {mean}" in page.text() and "Gap a distance for this test" in page.text()
    assert arrows.count("lower is better") >= 2
    columns = {each["label"]: each["kind"] for each in page.table()["columns"]}
    assert columns["Gap"] == columns["Gap, class 2"] == "distance"


def test_a_row_alone_brings_a_score_into_comparison_and_folds(folder, planted, tmp_path, capsys):
    main([str(folder), str(folder)])
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith((planted, f"{planted}_2"))]
    text, means = write_fold_table(tmp_path, {0: folder})
    assert f" | {planted} | paper_dice |" in text and f"{means[planted]:.4f}" in text
    assert f"{planted}_2" in means and "label_pixels" not in means


def test_a_row_alone_brings_a_score_into_a_contest(folder, planted, tmp_path):
    contestant, cost = Contestant("r", "a"), {"parameters": 1, "gmacs": 1, "latency": None, "step": None}
    path = results_path(tmp_path, contestant, 0)
    save_results(path, folder, claim={}, machine="m", hours=1)
    results = read_results(tmp_path, {contestant: {}}, [0])
    speed = {"machine": "m", "size": 32, "networks": {"a": cost}}
    assert " | Gap, pixels | sd |" in write_contest(tmp_path, results, speed, "this", "paper")


def test_a_row_alone_brings_a_score_into_evaluation_and_validation(planted):
    assert list(build_metrics("evaluation", key=False))[-1] == planted
    assert list(build_metrics("validation", key=False))[-1] == f"val_{planted}"


def test_the_best_epoch_of_a_score_is_chosen_in_its_direction(planted, tmp_path):
    best = BestScores(tmp_path / "best.json", prefix="val_")
    engine = Engine(lambda engine, batch: None)
    best.attach(engine)
    for epoch, value in enumerate((0.5, 0.25, 0.75), start=1):
        names = (f"val_{planted}", "val_dice", "paper_dice", "dice")
        engine.state = SimpleNamespace(epoch=epoch, metrics=dict.fromkeys(names, value))
        best(engine)
    assert json.loads((tmp_path / "best.json").read_text()) == {
        f"val_{planted}": {"value": 0.25, "epoch": 2},
        "val_dice": {"value": 0.75, "epoch": 3},
    }
