# SPDX-License-Identifier: Apache-2.0

"""JSON from anywhere: a model's settings, a split, a dataset's description. Nothing in it is run, and all is told."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

import images
from scripts.checkpoints.model_schema import PUBLISHED
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.common.files import load_json
from scripts.data.layouts.decathlon import from_decathlon
from scripts.data.splits.files import read_split
from scripts.networks.qtseg import OPTIONS

DEEP = "[" * 200_000 + "]" * 200_000
CODE = "$__import__('os').mkdir('owned')"


@pytest.mark.parametrize("content, message", [
    (DEEP, "nested too deeply"), ('{"a":' * 200_000, "nested too deeply"), ("1" * 5000, "4300 digits"),
    ("", "Expecting"),
    ("{'a': 1}", "Expecting"), ("\0", "Expecting"), ("[1, 2", "Expecting"),
])
def test_what_is_no_json_is_refused_by_all_that_read_it(content, message, tmp_path):
    for name in ("model.json", "split.json", "dataset.json"):
        (tmp_path / name).write_text(content)
    for read in (read_settings, from_decathlon, lambda folder: read_split(folder / "split.json", [], folder)):
        with pytest.raises(InputError, match=f"(model|split|dataset).json.*{message}"):
            read(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_json(tmp_path / "model.json")


def test_names_that_are_no_utf_8_are_kept(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf["caf\xe9"]')
    assert load_json(tmp_path / "a.json") == ["caf\udce9"]


LEAK: dict[str, Any] = {"fold": 0, "num_groups": 1, "groups": [{"train": "a.png", "test": "b.png"}]}
BAD_SETTINGS: list[tuple[str, list[Any]]] = [
    ("spatial_size", [None, "512", [9], [0, 512], [500, 512], [512.0, 512], [True, 32], 2**40, [2**20, 2**20], CODE]),
    ("geometry", [None, 1, "window", CODE]),
    ("overlap", [None, False, "0.25", -0.1, 1, math.nan, math.inf, 1e999, CODE]),
    ("cleaning", [None, [], {}, {"fill_holes": CODE, "largest_component": False, "smallest_object": 0}]),
    ("cleaning", [{**PUBLISHED["cleaning"], "smallest_object": value} for value in (-1, 1.5, "$")]),
    ("out_channels", [None, 1, 257, 10**30, "2", 2.0, True, CODE]), ("dataset_dir", [1, []]), ("layout", [None, {}]),
    ("color_space", [None, "HSV", CODE]), ("label_colors", [1, "red", [1, 2, 3], [[1, 2]], [[1, 2, "3"]]]),
    ("background_color", [1, "red", [1, 2], [[1, 2, 3]], [1, 2, "3"], [1, 2, 256], CODE]),
    ("instance_labels", [None, 1, "true", CODE]),
    ("fold", [None, -1, 0.0, "0", CODE]), ("protocol", [None, "none", {}]), ("split_digest", [3]),
    ("images", [None, [], {"a.png": 1}, {"a.png": {"part": "test", "group": "a"}}, {"a.png": {"part": 1, "group": 2}}]),
    ("norm", [1, "layer", CODE]), ("detail", [None, 1, "true", CODE]), ("refine", [None, 0, "no", CODE]),
    ("network_name", [None, 1, "", "../x", "a b", CODE]),
    ("seen_before", [None, {}, [1]]),
    ("start_is_known", [None, 1]), ("label_fit", [None, "area"]), ("leaks", [None, {}, ["a"]]),
    ("spatial_size", [[14112, 14112], [32, 2**20]]), ("overlap", [0.951, 0.9999999]),
    ("cleaning", [{**PUBLISHED["cleaning"], "smallest_object": 10**30}]), ("dataset_dir", ["nul\0"]),
    ("label_colors", [[[1, 2, 256]], [[-1, 2, 3]], [[0, 0, 0]] * 257]),
    ("leaks", [[{}], [1], [{**LEAK, "fold": "0"}], [{**LEAK, "num_groups": None}], [{**LEAK, "groups": []}]]),
    ("leaks", [[{**LEAK, "groups": groups}] for groups in ({}, [[]], [{}], [{"test": 1}])]),
    *((name, [1, ["a"], {}, "nul\0"]) for name in ("run", "sha256", "split")),
    ("intensities", [None, "max", 1, CODE]),
    *((name, [{"$": CODE}, [[CODE]]]) for name in PUBLISHED),
]  # fmt: skip


@pytest.mark.parametrize("name, value", [(name, value) for name, values in BAD_SETTINGS for value in values], ids=str)
def test_settings_that_are_none_are_named(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**PUBLISHED, name: value}))
    with pytest.raises(InputError, match=rf"model.json has {name} .*; expected is .*: put back the file as the train"):
        read_settings(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_all_settings_are_checked_and_good_ones_pass(tmp_path):
    of_options = {option.name for option in OPTIONS.values()}  # which check their values by themselves
    assert {name for name, _ in BAD_SETTINGS[: -len(PUBLISHED)]} >= set(PUBLISHED) - of_options
    good = {"spatial_size": 64, "label_colors": [[255, 0, 0]], "dataset_dir": "$a", "overlap": 0, "unknown": [1, {}]}
    good |= {"leaks": [LEAK], "split": None, "run": "train_1"}
    (tmp_path / "model.json").write_text(json.dumps({**PUBLISHED, **good}))
    assert read_settings(tmp_path) == {**PUBLISHED, **good}


def test_a_long_value_is_shown_in_part(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({**PUBLISHED, "geometry": "x" * 10**6}))
    with pytest.raises(InputError) as error:
        read_settings(tmp_path)
    assert len(str(error.value)) < 1000
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [["x" * 10**6]]}))
    with pytest.raises(InputError) as error:
        from_decathlon(tmp_path)
    assert len(str(error.value)) < 1000


NO_FILES = ["x" * 5000, "nul\0.png", "../../../../dev/zero", ".", "loop.png", "", 7, None, ["a.png"], {}]


@pytest.mark.parametrize("name", NO_FILES)
def test_a_dataset_that_names_no_files_is_refused(name, tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    images.save(tmp_path / "a.png", images.marked())
    entry = {"image": "a.png", "label": name}
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [entry]}))
    with pytest.raises(InputError, match="dataset.json (lists|names) "):
        from_decathlon(tmp_path)


@pytest.mark.parametrize("content", [
    1, "text", None, True, [[]], [None], [{"train": 1, "test": ["a"]}], [{"train": ["a"], "test": {"a": 1}}],
    [{"train": [["a"]], "test": ["a"]}], [{"train": ["../../etc/passwd"], "test": ["a"]}], {"folds": [{"test": ["a"]}]},
    {"folds": {}},
    {"folds": [{"train": ["a"], "test": ["b"]}], "groups": {"a": [1]}}, [{"train": ["a", math.nan], "test": ["b"]}],
])
def test_splits_of_other_kinds_are_refused(content, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps(content))
    datalist = [{"image": str(tmp_path / f"{name}.png")} for name in "ab"]
    with pytest.raises(InputError, match="split.json"):
        read_split(tmp_path / "split.json", datalist, tmp_path)


def test_a_pipe_is_no_split(tmp_path):
    os.mkfifo(tmp_path / "split.json")
    with pytest.raises(InputError, match="split.json, which cannot be read .it is no file"):
        read_split(Path(tmp_path / "split.json"), [], tmp_path)
