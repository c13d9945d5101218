# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from scripts.common.errors import InputError
from scripts.common.files import write_csv, write_json
from scripts.contest.contestants import Contestant
from scripts.contest.results import read_results, results_path
from scripts.contest.table import _plot, write_contest
from workflows import BUNDLE


def scores(dice: float, group: str = "") -> dict[str, float | str]:
    others = dict.fromkeys(("iou", "mae", "hd95", "paper_dice", "paper_iou", "paper_mae"), 0.5)
    return {"group": group, "dice": dice, **others}


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


def test_scores_of_other_images_do_not_mix(tmp_path):
    contestants = [Contestant("paper", name) for name in "ab"]
    for contestant, image in zip(contestants, ("1.png", "2.png")):
        row = {"image": image, **scores(0.5)}
        path = results_path(tmp_path, contestant, 0)
        write_csv(path, list(row), [list(row.values())])
        write_json(path.with_suffix(".json"), {"training": {}})
    with pytest.raises(InputError, match="results holds scores of different images; give another --output_dir"):
        read_results(tmp_path, dict.fromkeys(contestants, {}), [0])


PUBLISHED = BUNDLE / "docs" / "results" / "dsb2018_256"  # saved before trainings were compared by sections


def claims_now(seed: int = 0) -> dict[Contestant, dict]:
    """What this version would claim for the trainings of the published table, in its order."""
    rows = re.findall(r"^\| (one_cycle) \| (\w+) \|", (BUNDLE / "docs" / "contest_dsb2018_256.md").read_text(), re.M)
    contestants = [Contestant(*row) for row in rows]
    claims = {}
    for each in contestants:
        saved = json.loads((PUBLISHED / f"one_cycle.{each.network}.seed_{seed}.json").read_text())["training"]
        knobs = {name: value for name, value in saved.items() if name != "config_digest"}
        claims[each] = {"format": 1, **knobs, "sections": {"network": {"_target_": each.network}}}
    return claims


def test_results_of_an_earlier_version_still_make_their_table(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "results")
    claims = claims_now()
    assert len(claims) == 8
    results = read_results(tmp_path, claims, [0])
    cost = {"parameters": 1e6, "gmacs": 1.0, "latency": None, "step": None}
    costs = {"machine": "here", "size": 256, "networks": {each.network: cost for each in claims}}
    text = write_contest(tmp_path, results, costs, "this", "held-out")
    published = (BUNDLE / "docs" / "contest_dsb2018_256.md").read_text()
    tables = [
        [line.split(" | ")[:9] for line in page.splitlines() if "| one_cycle |" in line] for page in (text, published)
    ]
    assert tables[0] == tables[1] and len(tables[0]) == 8  # scores, intervals and differences


def test_results_of_two_versions_do_not_mix(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "results")
    claims = claims_now()
    first, *_, last = claims
    refusal = (
        f"{tmp_path / 'results'}/one_cycle.{first.network}.seed_0.csv is of an earlier version of the bundle, whose "
        "trainings cannot be compared with those of this one; ask for networks, recipes and seeds that are all of one "
        "version, or give another --output_dir"
    )
    path = results_path(tmp_path, last, 0).with_suffix(".json")
    earlier = path.read_text()
    write_json(path, {**json.loads(earlier), "training": claims[last]})
    with pytest.raises(InputError) as refused:
        read_results(tmp_path, claims, [0])
    assert str(refused.value) == refusal
    path.write_text(earlier)
    results_path(tmp_path, last, 0).unlink()  # so that it would be trained now
    with pytest.raises(InputError) as refused:
        read_results(tmp_path, claims, [0])
    assert str(refused.value) == refusal


def test_knobs_of_results_of_an_earlier_version_are_compared(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "results")
    claims = {each: {**claim, "learning_rate": 0.01} for each, claim in claims_now().items()}
    with pytest.raises(InputError, match=r"is of another training \(learning_rate was 0.001 and is 0.01\)"):
        read_results(tmp_path, claims, [0])
