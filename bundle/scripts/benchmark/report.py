# SPDX-License-Identifier: Apache-2.0

"""Write the report of the benchmark: a table in Markdown, the figures as JSON, and a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from ..common.files import write_json, write_text

__all__ = ["write_report"]

_COLUMNS = {
    "latency": "1 image, ms",
    "throughput": "images/s",
    "step": "training step, ms",
    "memory": "its memory, MiB",
}


def write_report(folder: Path, figures: Mapping[str, Any]) -> str:
    """Write ``benchmark.md``, ``benchmark.json`` and ``benchmark.png``.

    Args:
        folder: folder for the files; created if missing.
        figures: ``machine`` and ``command`` are texts, ``batch`` is the batch size, ``size`` holds the figures of the
            networks by image size, and ``journey`` those of the end-to-end measurements.

    Returns:
        The text of ``benchmark.md``.
    """
    lines = ["# Benchmark", "", figures["machine"], "", f"    {figures['command']}", ""]
    for size, networks in figures["size"].items():
        lines += _table(size, networks, figures["batch"])
    for name, values in figures["journey"].items():
        lines.append(f"- {name}: " + ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in values.items()))
    text = "\n".join(lines) + "\n"
    write_text(folder / "benchmark.md", text)
    write_json(folder / "benchmark.json", figures)
    _plot(figures["size"]).savefig(folder / "benchmark.png", dpi=120, bbox_inches="tight")
    return text


def _table(size: str, networks: Mapping[str, Mapping[str, Any]], batch: int) -> list[str]:
    header = ["network", "parameters, M", "GMACs", *_COLUMNS.values()]
    lines = [f"## {size} x {size} pixels", ""]
    lines += [f"Images/s and training step at batch {batch}. Medians, with quartiles (of 3 values: extremes).", ""]
    lines += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for name, values in networks.items():
        cells = [name, f"{values['parameters'] / 1e6:.2f}", f"{values['gmacs']:.2f}"]
        cells += [_cell(values.get(column)) for column in _COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return f"{value['median']:.1f} ({value['low']:.1f} to {value['high']:.1f})"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _plot(sizes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    figure = Figure(figsize=(5 * len(sizes), 4))
    axes = figure.subplots(1, len(sizes), squeeze=False)[0]
    for axis, (size, networks) in zip(axes, sizes.items()):
        names = [name for name, values in networks.items() if "latency" in values][::-1]
        medians, low, high = (
            [networks[name]["latency"][key] for name in names] for key in ("median", "low", "high")
        )
        spread = [[m - l for m, l in zip(medians, low)], [h - m for m, h in zip(medians, high)]]
        colors = ["tab:blue" if name.startswith("QTSeg") else "tab:gray" for name in names]
        axis.barh(names, medians, xerr=spread, color=colors)
        axis.set_title(f"one image of {size} x {size}")
        axis.set_xscale("log")  # the fastest and the slowest network differ by a factor of 100
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("ms (median, quartiles)")
    figure.tight_layout()
    return figure
