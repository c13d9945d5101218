# SPDX-License-Identifier: Apache-2.0

"""Draw charts as inline SVG, with a title and a description for readers who cannot see them.

The colors come from the style sheet of the page, so charts follow its light and dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

__all__ = ["calibration_chart", "curve_chart", "dice_histogram"]

_WIDTH, _HEIGHT = 360, 240  # of a chart; a phone shows it at this size, so its text stays readable
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 42  # margins
_TICKS = 5  # approximate number of ticks on an axis
_MOST_MARKERS = 30  # a curve with more points is drawn without markers
_HISTOGRAM_BINS = 20

Point = tuple[float, float]


class Axis(NamedTuple):
    """An axis of a chart.

    Attributes:
        label: text that says what the axis measures.
        low, high: ends of the axis; ``low < high``.
        whole: whether ticks are at whole numbers only.
    """

    label: str
    low: float
    high: float
    whole: bool = False

    def ticks(self) -> list[float]:
        """Return round numbers between the ends of the axis."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * 0.999)
        step = max(step, 1.0) if self.whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) for i in range(first, last + 1)]


class Chart:
    """A chart with two axes, to which lines, points and bars are added.

    Args:
        name: name of the chart, unique on the page.
        title: short title.
        description: text that says what the chart shows, with numbers.
        x: horizontal axis.
        y: vertical axis.
    """

    def __init__(self, name: str, title: str, description: str, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y
        labels = f"{name}-title {name}-description"
        size = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "width": str(_WIDTH), "height": str(_HEIGHT)}
        self.svg = ElementTree.Element("svg", {**size, "class": "chart", "role": "img", "aria-labelledby": labels})
        ElementTree.SubElement(self.svg, "title", {"id": f"{name}-title"}).text = title
        ElementTree.SubElement(self.svg, "desc", {"id": f"{name}-description"}).text = description
        self._draw_axes()

    def add_line(self, points: Sequence[Point], kind: str = "line") -> None:
        """Draw a line through points.

        Args:
            points: (x, y) on the scales of the axes.
            kind: class of the line in the style sheet.
        """
        path = " ".join("{:.1f},{:.1f}".format(*self._at(point)) for point in points)
        ElementTree.SubElement(self.svg, "polyline", {"class": kind, "points": path})

    def add_points(self, points: Sequence[Point]) -> None:
        """Draw a marker at every point.

        Args:
            points: (x, y) on the scales of the axes.
        """
        for point in points:
            left, top = (_text(place) for place in self._at(point))
            ElementTree.SubElement(self.svg, "circle", {"class": "point", "cx": left, "cy": top, "r": "3"})

    def add_bar(self, low: float, high: float, value: float) -> None:
        """Draw a bar from zero to ``value``, between ``low`` and ``high`` on the horizontal axis."""
        (left, top), (right, bottom) = self._at((low, value)), self._at((high, 0))
        box = {"x": left + 0.5, "y": top, "width": right - left - 1, "height": bottom - top}
        ElementTree.SubElement(self.svg, "rect", {"class": "bar", **{key: _text(side) for key, side in box.items()}})

    def markup(self) -> Markup:
        """Return the chart as HTML."""
        return Markup(ElementTree.tostring(self.svg, encoding="unicode"))

    def _at(self, point: Point) -> Point:
        across = (point[0] - self.x.low) / (self.x.high - self.x.low)
        up = (point[1] - self.y.low) / (self.y.high - self.y.low)
        height = _HEIGHT - _TOP - _BOTTOM
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _TOP + (1 - up) * height

    def _draw_axes(self) -> None:
        left, bottom = self._at((self.x.low, self.y.low))
        right, top = self._at((self.x.high, self.y.high))
        for value in self.y.ticks():
            level = self._at((self.x.low, value))[1]
            self._line((left, level), (right, level), "grid")
            self._write(f"{value:g}", left - 6, level + 4, "end")
        for value in self.x.ticks():
            place = self._at((value, self.y.low))[0]
            self._line((place, bottom), (place, bottom + 4), "axis")
            self._write(f"{value:g}", place, bottom + 17, "middle")
        self._line((left, bottom), (right, bottom), "axis")
        self._write(self.x.label, (left + right) / 2, _HEIGHT - 7, "middle")
        label = self._write(self.y.label, 12, (top + bottom) / 2, "middle")
        label.set("transform", f"rotate(-90 12 {_text((top + bottom) / 2)})")

    def _line(self, start: Point, end: Point, kind: str) -> None:
        ends = dict(zip(("x1", "y1", "x2", "y2"), (_text(value) for value in (*start, *end))))
        ElementTree.SubElement(self.svg, "line", {"class": kind, **ends})

    def _write(self, text: str, left: float, top: float, anchor: str) -> ElementTree.Element:
        place = {"x": _text(left), "y": _text(top), "text-anchor": anchor}
        element = ElementTree.SubElement(self.svg, "text", place)
        element.text = text
        return element


def curve_chart(name: str, label: str, points: Sequence[Point], *, top: float | None = None) -> Markup:
    """Draw a value over the epochs.

    Args:
        name: name of the chart, unique on the page.
        label: text that says what the value is.
        points: (epoch, value), one or more.
        top: upper end of the vertical axis; None for a little more than the largest value.
    """
    (first, start), (last, end) = points[0], points[-1]
    description = f"{label}: {start:.4f} in epoch {first:g}, {end:.4f} in epoch {last:g}."
    values = [value for _, value in points]
    top = 1.05 * max(max(values), 1e-6) if top is None else top
    chart = Chart(name, label, description, Axis("epoch", 0, last, whole=True), Axis(label, min(0, *values), top))
    chart.add_line(points)
    if len(points) <= _MOST_MARKERS:
        chart.add_points(points)
    return chart.markup()


def dice_histogram(values: Sequence[float]) -> Markup:
    """Draw a histogram of the Dice of images.

    Args:
        values: Dice of every image, in [0, 1], one or more.
    """
    counts, edges = np.histogram(values, bins=_HISTOGRAM_BINS, range=(0, 1))
    least, median, most = np.quantile(values, (0, 0.5, 1))
    description = f"Dice of {len(values)} images: from {least:.4f} to {most:.4f}, median {median:.4f}."
    y = Axis("images", 0, 1.05 * max(counts), whole=True)
    chart = Chart("dice-histogram", "Images by their Dice", description, Axis("Dice of an image", 0, 1), y)
    for low, high, count in zip(edges[:-1], edges[1:], counts):
        if count:
            chart.add_bar(low, high, count)
    return chart.markup()


def calibration_chart(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw how often predicted probabilities are true, with the diagonal of a perfect calibration.

    Args:
        bins: the bins of ``calibration.json``.
    """
    points = [(row["mean_probability"], row["frequency"]) for row in bins if row["count"]]
    listed = ", ".join(f"{true:.2f} where {predicted:.2f} was predicted" for predicted, true in points)
    axes = Axis("predicted probability", 0, 1), Axis("share that is true", 0, 1)
    chart = Chart("calibration", "Predicted probabilities and how often they are true", f"True: {listed}.", *axes)
    chart.add_line([(0, 0), (1, 1)], "diagonal")
    chart.add_line(points)
    chart.add_points(points)
    return chart.markup()


def _text(value: float) -> str:
    return f"{value:.1f}"
