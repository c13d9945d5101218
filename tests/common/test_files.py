# SPDX-License-Identifier: Apache-2.0

"""Files are written whole."""

from __future__ import annotations

import csv
import json
import os
import re

import pytest

from scripts.common.errors import InputError
from scripts.common.files import read_csv, read_json, replacing, write_csv, write_json, write_text


def test_a_file_is_replaced_whole_or_left(tmp_path, monkeypatch):
    path = tmp_path / "new folder" / "a.txt"
    write_text(path, "old")

    def fill_the_disk(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context, pytest.raises(OSError, match="No space left"):
        context.setattr(os, "fsync", fill_the_disk)
        write_text(path, "new")
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]
    write_text(path, "new")
    assert path.read_bytes() == b"new" and list(path.parent.iterdir()) == [path]


def test_json_keeps_names_that_are_no_unicode(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "a.json", {"blöb": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"blöb": name}
    assert "blöb" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", float("nan"))


@pytest.mark.parametrize("text, problem", [("{", r"cannot be read \(.*\)"), ("[]", "is no JSON object")])
def test_json_that_is_no_object_is_refused_with_the_cure(text, problem, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=f"a.json {problem}; make it anew$"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=f"a.json {problem}; expected is a table$"):
        read_json(tmp_path / "a.json", cure="expected is a table")


SCHEMA = {"required": ["a"], "properties": {"a": {"type": "array", "items": {"type": "integer", "minimum": 1}}}}


@pytest.mark.parametrize("text, problem", [
    ("{}", "at $, 'a' is a required property"),
    ('{"a": 1}', "$.a is 1, which its type does not allow"),
    ('{"a": [1, 0]}', "$.a[1] is 0, which its minimum does not allow"),
    ('{"a": ["%s"]}' % ("x" * 10_000), "$.a[0] is 'xxxxxxxxxxxx...xxxxxxxxxxxxx', which its type does not allow"),
])
def test_json_of_another_form_is_refused_with_the_place(text, problem, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_json(path, schema=SCHEMA)
    assert str(refused.value) == f"{path} is not as it was written: {problem}; make it anew"
    path.write_text('{"a": [1, 2], "b": null}')
    assert read_json(path, schema=SCHEMA) == {"a": [1, 2], "b": None}


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_json_has_finite_numbers_only(number, tmp_path):
    (tmp_path / "a.json").write_text(f'{{"a": [{number}]}}')
    with pytest.raises(InputError, match="a.json cannot be read .Out of range float values are not JSON compliant"):
        read_json(tmp_path / "a.json")


def test_a_table_is_read_with_its_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfimage,dice\n"caf\xe9, b",1\nshort\n')
    assert read_csv(path) == [{"image": "caf\udce9, b", "dice": "1"}, {"image": "short", "dice": ""}]
    path.write_bytes(b"")
    assert read_csv(path) == []
    path.write_text("image,dice\na,1,2\n")
    with pytest.raises(InputError, match="a.csv has a row with more cells than there are columns; make it anew"):
        read_csv(path)
    with pytest.raises(InputError, match="cannot be read .it is no file.; evaluate again"):
        read_csv(tmp_path, cure="evaluate again")


def test_a_table_can_hold_any_name(tmp_path):
    rows = [["a, b", "1"], ['"quoted"\nline', "2"]]
    write_csv(tmp_path / "a.csv", ["image", "dice"], rows)
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["image", "dice"], *rows]


@pytest.mark.parametrize("name, end", [
    ("a.nii.gz", ".nii.gz"), ("a.b.geojson", ".b.geojson"), ("case.number7.png", ".png"), ("a", ""), ("a.PNG", ".PNG"),
    ("a." + "x" * 240 + ".png", ".png"),
])
def test_what_is_written_first_has_the_suffix_of_the_file(name, end, tmp_path):
    with replacing(tmp_path / name) as partial:
        partial.write_text("whole")
        assert re.fullmatch(r"\.qtseg-[0-9a-f]{12}" + re.escape(end), partial.name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
