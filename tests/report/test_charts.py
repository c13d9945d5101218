# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from scripts.report.charts import Axis, calibration_chart, curve_chart, dice_histogram
from scripts.report.sections import training


def drawn(markup: str, kind: str) -> list[dict[str, str]]:
    """The attributes of all elements of a chart that have a class."""
    return [element.attrib for element in ElementTree.fromstring(markup).iter() if element.get("class") == kind]


def points(line: dict[str, str]) -> list[tuple[float, ...]]:
    return [tuple(float(value) for value in pair.split(",")) for pair in line["points"].split()]


@pytest.mark.parametrize(
    "axis, ticks",
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis("", 0, 350, whole=True), [0, 100, 200, 300]),
        (Axis("", 0, 1.05, whole=True), [0, 1]),
        (Axis("", -0.3, 0.5), [-0.2, 0, 0.2, 0.4]),
        (Axis("", 0, 1e-6), [0, 2e-7, 4e-7, 6e-7, 8e-7, 1e-6]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


def test_a_curve_goes_where_its_values_are():
    (line,) = drawn(curve_chart("loss", "Training loss", [(1, 2.0), (2, 1.0), (4, 0.0)]), "line")
    (x1, y1), (x2, y2), (x4, y4) = points(line)
    assert x4 - x2 == pytest.approx(2 * (x2 - x1), abs=0.2)
    assert y4 - y2 == pytest.approx(y2 - y1, abs=0.2) and y4 > y2 > y1  # down the picture
    (axis,) = (each for each in drawn(curve_chart("a", "b", [(1, 2.0), (2, 0.0)]), "axis") if each["x1"] != each["x2"])
    assert y4 == float(axis["y1"])


def test_few_epochs_are_marked_and_many_are_not():
    assert len(drawn(curve_chart("loss", "Loss", [(1, 0.5)]), "point")) == 1
    assert drawn(curve_chart("loss", "Loss", [(i, 0.5) for i in range(1, 40)]), "point") == []


def test_dice_has_the_same_scale_in_every_report(tmp_path):
    curves = tmp_path / "curves.csv"
    ends = []
    for dice in (0.1, 1):
        curves.write_text(f"epoch,val_dice\n1,0\n2,{dice}\n")
        (chart,) = training(curves, None)["charts"]
        assert chart["label"] == "Validation Dice"
        ends.append(points(drawn(chart["svg"], "line")[0])[1])
    low, high = ends
    assert low[1] > high[1] and high[1] == 10  # the top margin


def test_the_histogram_counts_both_ends():
    bars = drawn(dice_histogram([0.0, 0.01, 0.5, 1.0, 1.0, 1.0]), "bar")
    heights = [float(bar["height"]) for bar in bars]
    assert heights == pytest.approx([2 * heights[1], heights[1], 3 * heights[1]], abs=0.2)
    lefts = [float(bar["x"]) for bar in bars]
    assert lefts == sorted(lefts) and lefts[2] + float(bars[2]["width"]) == pytest.approx(350, abs=1)


def test_empty_bins_of_a_calibration_are_left_out():
    full = {"count": 5, "mean_probability": 0.5, "frequency": 0.25}
    empty = {"count": 0, "mean_probability": None, "frequency": None}
    markup = calibration_chart([empty, full, empty])
    (point,) = drawn(markup, "point")
    ((left, bottom), (right, top)) = points(drawn(markup, "diagonal")[0])
    assert float(point["cx"]) == pytest.approx((left + right) / 2, abs=0.1)
    assert float(point["cy"]) == pytest.approx(bottom + 0.25 * (top - bottom), abs=0.1)
    assert "0.25 where 0.50 was predicted" in markup
