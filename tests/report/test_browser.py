# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evaluations import CURVES, evaluate

_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium, by name or by the variable CHROMIUM")

PHONE, DESKTOP = 390, 1280

# what a reader would see and do, told to the page around
LOOK = """
addEventListener("load", () => {
  const table = document.getElementById("case-table");
  const head = (label) => [...table.tHead.rows[0].cells].find((cell) => cell.textContent === label);
  const rows = () => [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  const sorted = () => [...table.tHead.rows[0].cells].filter((cell) => cell.ariaSort)
    .map((cell) => [cell.textContent, cell.ariaSort]);
  const click = (label) => { head(label).querySelector("button").click(); return { rows: rows(), sorted: sorted() }; };
  const search = (text) => {
    const field = document.getElementById("case-search");
    field.value = text;
    field.dispatchEvent(new Event("input"));
    return { rows: rows(), status: document.getElementById("case-status").textContent };
  };
  const more = document.getElementById("case-more");
  const seen = { labels: [...table.tHead.rows[0].cells].map((cell) => cell.textContent) };
  seen.start = { rows: rows(), sorted: sorted(), more: !more.hidden };
  seen.clicks = ["Dice", "File", "File", "HD95"].map(click);
  more.click();
  seen.all = { rows: rows(), more: !more.hidden };
  seen.found = search(" CASE 7");
  seen.none = search("no such file");
  search("");
  document.querySelectorAll("details").forEach((each) => { each.open = true; });
  seen.pictures = [...document.images].map((each) => each.naturalWidth);
  seen.width = innerWidth;
  seen.needed = document.scrollingElement.scrollWidth;
  parent.postMessage(seen, "*");
});
"""


def browse(path: Path, folder: Path) -> tuple[str, list[str]]:
    """Open a page and let its scripts run; return what it has become, and what its console says."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    command += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def look(path: Path, folder: Path, width: int) -> dict[str, Any]:
    """Open a page in a frame of ``width`` pixels, narrower than a window may be, and return what ``LOOK`` saw."""
    copy, frame = folder / "copy.html", folder / "frame.html"
    text = path.read_text(encoding="utf-8").replace("</body>", f"<script>{LOOK}</script></body>")
    copy.write_text(text, encoding="utf-8")
    frame.write_text(
        f'<!DOCTYPE html><iframe src="copy.html" style="width: {width}px; height: 844px; border: 0"></iframe>'
        '<pre></pre><script>addEventListener("message", (event) => {'
        ' document.querySelector("pre").textContent = JSON.stringify(event.data); });</script>'
    )
    text, _ = browse(frame, folder)
    return json.loads(html.unescape(re.search("<pre>(.*?)</pre>", text, re.DOTALL)[1]))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    (folder / "curves.csv").write_text(CURVES)
    names = [f"case {i}.png" for i in range(100)] + [f"{'long' * 30}_{i}.png" for i in range(30)]
    return evaluate(folder, names, num_classes=3, curves=folder / "curves.csv") / "report.html"


@pytest.fixture(scope="module")
def seen(page, tmp_path_factory) -> dict[str, Any]:
    return look(page, tmp_path_factory.mktemp("phone"), PHONE)


def column(seen: dict[str, Any], rows: list[list[str]], label: str) -> list[str]:
    return [row[seen["labels"].index(label)] for row in rows]


def test_the_console_stays_silent(page, tmp_path):
    assert browse(page, tmp_path)[1] == []
    loud = tmp_path / "loud.html"
    loud.write_text("<script>console.warn('heard')</script>")
    assert "heard" in browse(loud, tmp_path)[1][0]


def test_all_pictures_are_shown(seen):
    assert len(seen["pictures"]) == 12 * 4
    assert set(seen["pictures"]) == {288}  # 6 times 48 pixels


def test_the_worst_cases_come_first(seen):
    assert seen["start"]["sorted"] == [["Dice", "ascending"]]
    dice = column(seen, seen["start"]["rows"], "Dice")
    assert dice == sorted(dice) and float(dice[0]) < 0.1 and len(set(dice)) > 10


def test_buttons_sort_up_and_down_by_number_and_by_name(seen):
    by_dice, by_file, by_file_down, by_distance = seen["clicks"]
    dice = column(seen, by_dice["rows"], "Dice")
    assert by_dice["sorted"] == [["Dice", "descending"]] and dice == sorted(dice, reverse=True) and dice[0] == "1.0000"
    assert by_file["sorted"] == [["File", "ascending"]]
    assert column(seen, by_file["rows"], "File")[:12] == [f"case {i}.png" for i in range(12)]  # not 1, 10, 11
    assert by_file_down["sorted"] == [["File", "descending"]]
    assert column(seen, by_file_down["rows"], "File")[0].endswith("_29.png")
    distances = [float(text) for text in column(seen, by_distance["rows"], "HD95")]
    assert by_distance["sorted"] == [["HD95", "ascending"]] and distances == sorted(distances)


def test_rows_come_a_hundred_at_a_time(seen):
    assert len(seen["start"]["rows"]) == 100 and seen["start"]["more"]
    assert len(seen["all"]["rows"]) == 130 and not seen["all"]["more"]
    assert len({row[0] for row in seen["all"]["rows"]}) == 130


def test_a_file_can_be_found(seen):
    names = [row[0] for row in seen["found"]["rows"]]
    assert sorted(names) == sorted(["case 7.png", *(f"case {i}.png" for i in range(70, 80))])
    assert seen["found"]["status"] == "11 of 11 shown, found in 130"
    assert seen["none"]["rows"] == []


def test_a_phone_need_not_scroll_sideways(seen):
    assert seen["width"] == PHONE and seen["needed"] <= PHONE


def test_a_desktop_need_not_scroll_sideways(page, tmp_path):
    wide = look(page, tmp_path, DESKTOP)
    assert wide["width"] == DESKTOP and wide["needed"] <= DESKTOP
