# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.common.files import write_json
from scripts.common.score_table import shown_in
from scripts.contest.contestants import Contestant
from scripts.contest.results import results_path
from scripts.contest.table import _plot, write_contest


def scores(dice: float, group: str = "") -> dict[str, float | str]:
    return {"group": group, **dict.fromkeys(shown_in("contest"), 0.5), "dice": dice}


def table_of(folder: Path, results: dict, **facts: dict) -> str:
    for each, by_seed in results.items():
        for seed in by_seed:
            hours = seed + (1 if each.network == "a" else 10)
            found = {"machine": "there", "hours": hours, **facts}
            write_json(results_path(folder, each, seed).with_suffix(".json"), found)
    cost = {"parameters": 1e6, "gmacs": 1.0, "latency": None, "step": {"median": 7}}
    costs = {"machine": "here", "size": 32, "networks": {"a": cost, "b": cost}}
    return write_contest(folder, results, costs, "this", "paper")


def test_differences_are_paired_by_image_and_seed(tmp_path):
    # of images that differ by far more than the networks do
    level = [i / 10 for i in range(8)]
    ours = {s: {f"{i}.png": scores(level[i] + 0.02 + s / 100, f"{i}") for i in range(8)} for s in (0, 1)}
    theirs = {s: {f"{i}.png": scores(level[i] + s / 100, f"{i}") for i in range(8)} for s in (1, 2)}
    results = {Contestant("r", "a"): ours, Contestant("r", "b"): theirs}
    text = table_of(tmp_path, results)
    first, second = json.loads((tmp_path / "contest.json").read_text())["contestants"]
    assert "difference" not in first["scores"]["dice"]
    difference = second["scores"]["dice"]["difference"]
    assert difference["seeds"] == [1]  # which both have
    assert difference["mean"] == pytest.approx(-0.02) and difference["high"] < -0.019  # images alike in all but that
    assert first["scores"]["dice"]["sd_of_seeds"] == pytest.approx(0.01 / 2**0.5)
    assert "| -2.00 (-2.00 to -2.00) | 1.00 | 1.00 | - | 7 | 11.50 |" in text and "| - | 7 | 1.50 |" in text


def test_differences_are_drawn_beside_the_means():
    rows = [
        {"network": name, "recipe": "r", "scores": {"dice": {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}}}
        for name, mean in (("a", 0.9), ("b", 0.88))
    ]
    rows[1]["scores"]["dice"]["difference"] = {"mean": -0.02, "low": -0.03, "high": -0.01}
    means, differences = _plot(rows).axes
    assert [axis.collections[-1].get_offsets()[:, 0].tolist() for axis in (means, differences)] == [[88, 90], [-2]]
    assert differences.get_xlabel().startswith("less a")


def test_intervals_are_over_groups_of_images(tmp_path):
    widths = []
    for groups in (range(40), [i // 20 for i in range(40)], [0] * 40):
        table = {f"{i:02}.png": scores(0.9 if i < 20 else 0.5, f"{group}") for i, group in enumerate(groups)}
        text = table_of(tmp_path, {Contestant("r", "a"): {0: table}})
        (row,) = json.loads((tmp_path / "contest.json").read_text())["contestants"]
        dice = row["scores"]["dice"]
        widths.append(None if dice["low"] is None else dice["high"] - dice["low"])
    assert widths[0] < 0.15 and widths[1] == pytest.approx(0.4)  # two patients tell little of others
    assert widths[2] is None and "| 70.00 (one group: no interval) |" in text


def test_distances_are_told_in_their_unit(tmp_path):
    results = {Contestant("r", "a"): {0: {"0.png": scores(0.5)}}}
    assert "| HD95, pixels |" in table_of(tmp_path, results)
    assert "| HD95, mm |" in table_of(tmp_path, results, training={"pixel_size": 0.5})
