# SPDX-License-Identifier: Apache-2.0

"""Files that the bundle keeps for itself, cut off or changed by hand: read as before, or refused in one sentence."""

from __future__ import annotations

import copy
import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import images
from evaluations import CURVES, evaluate
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.data.splits.files import read_split
from scripts.data.survey import survey_images
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.report import page
from scripts.report.cases import Drawn
from scripts.report.page import write_report
from scripts.report.sections import training
from scripts.training import resume

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "all but the end": lambda content: content[:-3],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "{}": lambda content: b"{}",
    "[1]": lambda content: b"[1]",
    "null": lambda content: b"null",
    "a text": lambda content: b'"text"',
    "no utf-8": lambda content: b"\xff\xfe\0\1" * 50,
    "deep": lambda content: b"[" * 100_000,
    "a table": lambda content: b"a,b\n1,2,3\n",
}
IN_PLACE_OF_A_VALUE: list[Any] = [None, "x", -1, 1e999, 0.5, [], {"x": []}]
FILES = ("scores.csv", "summary.json", "calibration.json", "data_check.json", "provenance.json", "../curves.csv")


def damage(path: Path, kind: str) -> None:
    if kind == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(KINDS[kind](path.read_bytes()))


def places(content: Any, place: tuple = ()) -> Iterator[tuple]:
    """Where the values of a JSON file are; of a list, and of the scores by their names, only in the first item."""
    items = list(content.items()) if isinstance(content, dict) else list(enumerate(content))[:1]
    items = items[:1] if place[-1:] == ("scores",) else items
    for name, value in items:
        yield (*place, name)
        if isinstance(value, (dict, list)):
            yield from places(value, (*place, name))


def changed(content: Any) -> Iterator[tuple[str, Any]]:
    """A file with one value that is left out, or another."""
    for *place, last in places(content):
        for value in (*IN_PLACE_OF_A_VALUE, KeyError):
            other = copy.deepcopy(content)
            inner = other
            for name in place:
                inner = inner[name]
            if value is KeyError:
                del inner[last]
            else:
                inner[last] = value
            yield f"{place} {last} {value}", other


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "curves.csv").write_text(CURVES)
    return evaluate(folder, ["a.png", "b.png", "c.png"], curves=folder / "curves.csv", num_classes=3)


@pytest.fixture
def copied(evaluation, tmp_path) -> Path:
    shutil.copytree(evaluation.parent, tmp_path / "copy")
    return tmp_path / "copy" / "evaluation"


@pytest.mark.parametrize("kind", [*KINDS, "a folder"])
@pytest.mark.parametrize("name", FILES)
def test_a_report_is_refused_in_one_sentence(name, kind, copied):
    damage(copied / name, kind)
    written = (copied / "report.html").read_bytes()
    try:
        write_report(copied, curves=copied / "../curves.csv")
    except InputError as error:
        assert Path(name).name in str(error) and len(str(error)) < 1000
        assert (copied / "report.html").read_bytes() == written
    else:
        # a file that the page can do without is as if it were not there; a cell that is cut short may be right
        assert name == "../curves.csv" or kind == "a folder" or (name == "scores.csv" and kind == "all but the end")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
def test_a_report_of_other_values_is_written_or_refused(name, copied, monkeypatch):
    monkeypatch.setattr(page, "draw", lambda case, folder, root: Drawn(case, [], ""))  # pictures take long
    path = copied / name
    content = json.loads(path.read_text())
    refused = 0
    for what, other in changed(content):
        path.write_text(json.dumps(other))
        try:
            write_report(copied, curves=copied / "../curves.csv")
        except InputError as error:
            assert name in str(error) and len(str(error)) < 1000, what
            refused += 1
    assert refused > 20


def test_curves_with_odd_cells(copied):
    with open(copied / "../curves.csv", newline="") as file:
        header, *rows = csv.reader(file)
    for column in range(len(header)):
        for cell in ("", "x", "-1", "0", "nan", "inf", "1e999", "1e308", "-1e308", "\0", '"'):
            lines = [[*row[:column], cell, *row[column + 1 :]] for row in rows]
            for some in (lines, lines[:1], [*rows, *lines]):
                (copied / "../curves.csv").write_text("\n".join(",".join(line) for line in (header, *some)))
                try:
                    assert training(copied / "../curves.csv", None)
                except InputError as error:
                    assert "curves.csv" in str(error)


def test_a_broken_survey_is_made_again(tmp_path, caplog):
    pair = {name: str(images.save(tmp_path / f"{name}.png", images.marked())) for name in ("image", "label")}
    readers = {"image_reader": ImageFileReader(), "mask_reader": MaskFileReader(2), "cache_dir": tmp_path / "surveys"}
    pair["label"] = str(images.save(tmp_path / "label.png", images.marked()[..., 0] // 255 * 255))
    whole = survey_images([pair], **readers)
    (cache,) = (tmp_path / "surveys").iterdir()
    content = cache.read_bytes()
    assert survey_images([pair], **readers) == whole and caplog.text == ""
    others = [json.dumps(other).encode() for _, other in changed(json.loads(content))]
    for other in (*(change(content) for change in KINDS.values()), *others):
        cache.write_bytes(other)
        assert survey_images([pair], **readers) == whole
        if json.loads(content) != (json.loads(other) if other in others else None):
            assert f"{cache} is damaged" in caplog.text and "all images are read again" in caplog.text
        assert cache.read_bytes() == content
        caplog.clear()


@pytest.fixture
def run_file(tmp_path, monkeypatch) -> Path:
    """The record of a training that was cut off."""
    monkeypatch.setattr(resume, "_run_name_of_user", lambda: None)
    (tmp_path / "train_1").mkdir()
    begun = {"format": 1, "ckpt_dir": str(tmp_path / "m"), "images": {"a.png": "1"}, "sections": {"loss": {"a": 1}}}
    resume.begin_run(str(tmp_path / "train_1"), begun, 4)
    resume._let_go()
    return tmp_path / "train_1" / "run.json"


def test_the_record_of_a_run_that_is_damaged_is_passed_over(run_file, tmp_path, caplog):
    content = run_file.read_bytes()
    asked = json.loads(content)["fingerprint"]
    others = [json.dumps(other).encode() for _, other in changed(json.loads(content))]
    for other in (*(change(content) for change in KINDS.values()), *others):
        run_file.write_bytes(other)
        found = resume.find_unfinished(str(tmp_path), "train", asked, True)
        resume._let_go()
        assert found is None or found.batch_size == json.loads(other)["batch_size"]
        if found is None and other not in others:
            assert "train_1 is passed over: " in caplog.text
        caplog.clear()
    run_file.write_bytes(content)
    assert resume.find_unfinished(str(tmp_path), "train", asked, True) == resume.Unfinished("train_1", None, 4)
    resume._let_go()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a table"])
def test_a_split_is_refused(kind, tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"version": 1, "digest": "0", "groups": {}, "folds": [{"train": ["a"], "test": ["b"]}]}))
    damage(path, kind)
    with pytest.raises(InputError, match="split.json"):
        read_split(path, [{"image": str(tmp_path / f"{name}.png")} for name in "ab"], tmp_path)


@pytest.mark.parametrize("kind", [*KINDS, "a folder"])
def test_settings_of_a_model_are_refused(kind, trained, tmp_path):
    shutil.copy(trained.ckpt_dir / "model.json", tmp_path)
    damage(tmp_path / "model.json", kind)
    with pytest.raises(InputError, match="model.json"):
        read_settings(tmp_path)
    assert os.listdir(tmp_path) == ["model.json"]
