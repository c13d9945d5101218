# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.common.errors import InputError
from scripts.data.splits.grouping import belong_together, group_names, strata
from scripts.data.survey import Facts


def named(*names: str) -> list[dict[str, str]]:
    return [{"image": f"/data/set 7/{name}"} for name in names]


@pytest.mark.parametrize("rule, groups", [
    ("p[0-9]+", ["p1", "p1", "p12"]),
    ("^(p[0-9]+)_", ["p1", "p1", "p12"]),
    (r"_(\w)\.", ["a", "b", "a"]),  # the folder, set 7, is not searched
    ("p(?:1|12)_", ["p1_", "p1_", "p12_"]),
])
def test_groups_by_expression(rule, groups):
    assert group_names(named("p1_a.png", "p1_b.jpg", "p12_a.png"), rule) == groups


def test_images_belong_together_through_others():
    together = belong_together(["p1", "p2", "p1", "p3"], [(1, 2, 0.99)])
    assert together[0] == together[1] == together[2] != together[3]


def table(folder: Path, text: str) -> str:
    (folder / "who is who.csv").write_text(text, encoding="utf-8-sig")
    return f"{folder}/who is who.csv"


def test_groups_by_table(tmp_path):
    path = table(tmp_path, "patient,image,eye\nA,p1_a.png,left\nB,p1_b,right\nC,other.png,left\n")
    assert group_names(named("p1_a.png", "p1_b.jpg"), f"{path}::patient") == ["A", "B"]
    assert group_names(named("p1_b.jpg", "p1_a.png"), f"{path}::eye") == ["right", "left"]


@pytest.mark.parametrize("rule, message", [
    (7, "group is 7; give a regular expression, or TABLE.csv::COLUMN"),
    ("(", r"group is '\(', which is no regular expression"),
    ("q", "group is 'q', which matches nothing in p1_a.png; let it match every file name"),
    ("(q)?p", "matches nothing in p1_a.png"),
    ("none.csv::patient", "group names the table none.csv, which cannot be read"),
])
def test_wrong_rules(rule, message):
    with pytest.raises(InputError, match=message):
        group_names(named("p1_a.png"), rule)


@pytest.mark.parametrize("text, message", [
    ("image\np1_a.png\n", "who is who.csv has no column patient; its columns are image"),
    ("name,patient\np1_a.png,A\n", "who is who.csv has no column image; its columns are name, patient"),
    ("image,patient\nother.png,A\n", "who is who.csv has no patient for p1_a.png; add a line for every image"),
    ("image,patient\np1_a.png,\n", "who is who.csv has no patient for p1_a.png"),
])
def test_wrong_tables(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        group_names(named("p1_a.png"), f"{table(tmp_path, text)}::patient")


def test_strata():
    facts = [Facts("", pixels=pixels) for pixels in ([9, 1, 0], [5, 5, 0], [8, 2, 0], [4, 6, 0])]
    items = named("a", "b", "c", "d")
    assert strata(items, facts) == ["small", "large", "small", "large"]
    assert strata(items, [*facts[:3], Facts("", pixels=[4, 0, 6])]) == ["0 1", "0 1", "0 1", "0 2"]
    unusable = [Facts("", problem="it is damaged")] * 4  # which the check of the data tells, later
    assert len(set(strata(items, unusable))) == 1
    assert strata([{**item, "stratum": item["image"][-1]} for item in items], facts) == ["a", "b", "c", "d"]
