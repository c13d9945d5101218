# SPDX-License-Identifier: Apache-2.0

"""The report of figures that were made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.benchmark.report import _plot, write_report

QUICK = {"median": 2.0, "low": 1.5, "high": 4.0}
SIZES: dict[str, Any] = {
    "64": {
        "QTSeg": {
            **{"parameters": 9_214_850, "gmacs": 2.559, "latency": QUICK},
            **{"throughput": 123.4, "step": {"median": 20.04, "low": 19.0, "high": 21.0}, "memory": 9.87},
        },
        "UNet": {"parameters": 1_626_000, "gmacs": 0.5, "latency": {"median": 1.0, "low": 0.9, "high": 1.1}},
    },
    "128": {"QTSeg": {"parameters": 9_214_850, "gmacs": 10.236}},  # not timed yet
}
FIGURES = {
    **{"machine": "2026-01-02: a CPU.", "command": "python -m scripts.benchmark", "batch": 8, "size": SIZES},
    "journey": {"epoch at 64": {"steps": 3, "seconds_without_data": 0.123456}},
}


def test_the_table_has_a_line_a_network_and_dashes_for_what_was_not_measured(tmp_path: Path):
    text = write_report(tmp_path / "new", FIGURES)
    assert text == (tmp_path / "new" / "benchmark.md").read_text()
    for line in (
        "2026-01-02: a CPU.",
        "    python -m scripts.benchmark",
        "## 64 x 64 pixels",
        "Images/s and training step at batch 8. Medians, with quartiles (of 3 values: extremes).",
        "| network | parameters, M | GMACs | 1 image, ms | images/s | training step, ms | its memory, MiB |",
        "| QTSeg | 9.21 | 2.56 | 2.0 (1.5 to 4.0) | 123 | 20.0 (19.0 to 21.0) | 9.9 |",
        "| UNet | 1.63 | 0.50 | 1.0 (0.9 to 1.1) | - | - | - |",
        "## 128 x 128 pixels",
        "| QTSeg | 9.21 | 10.24 | - | - | - | - |",
        "- epoch at 64: steps 3, seconds without data 0.1235",
    ):
        assert line in text.splitlines()
    assert json.loads((tmp_path / "new" / "benchmark.json").read_text()) == FIGURES
    with Image.open(tmp_path / "new" / "benchmark.png") as plot:
        assert plot.format == "PNG" and plot.width > plot.height


def test_the_plot_shows_medians_and_quartiles_of_what_was_timed():
    first, second = _plot(SIZES).axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["UNet", "QTSeg"]
    assert [bar.get_width() for bar in first.patches] == [1.0, 2.0] and len(second.patches) == 0
    (spread,) = (collection for collection in first.collections)
    assert [segment[:, 0].tolist() for segment in spread.get_segments()] == [[0.9, 1.1], [1.5, 4.0]]
    assert first.get_title() == "one image of 64 x 64" and first.get_xscale() == "log"
