# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest

from scripts.common.errors import InputError
from scripts.evaluation.records import read_calibration, read_data_check, read_summary

MEAN = {"mean": 0.5, "low": None, "high": None}
BIN = {"low": 0, "high": 1, "count": 0, "mean_probability": None, "frequency": None}


def test_of_a_summary_only_what_is_needed_must_be_there(tmp_path):
    (tmp_path / "summary.json").write_text('{"images": "/data", "of a later version": [1]}')
    assert read_summary(tmp_path, "images") == {"images": "/data", "of a later version": [1]}
    with pytest.raises(InputError, match="summary.json is not as it was written: at .*'protocols' is a required"):
        read_summary(tmp_path, "images", "protocols")


@pytest.mark.parametrize("changes", [
    {"images": 1}, {"num_images": -1}, {"classes": [{"id": 256}]}, {"protocols": []}, {"protocol": ["held-out"]},
    {"protocols": [{"protocol": "p", "scores": {"dice": {**MEAN, "mean": "0.5"}}}]}, {"run": {}},
    {"protocols": [{"protocol": "p", "scores": {"dice": {**MEAN, "classes": [{"mean": 1}]}}}]},
])
def test_a_summary_with_another_value_is_refused(changes, tmp_path):
    good = {"images": "/data", "protocols": [{"protocol": "p", "scores": {"dice": {**MEAN, "classes": [MEAN]}}}]}
    (tmp_path / "summary.json").write_text(json.dumps(good))
    assert read_summary(tmp_path, "images", "protocols") == good
    (tmp_path / "summary.json").write_text(json.dumps({**good, **changes}))
    with pytest.raises(InputError, match=f"summary.json is not as it was written: .*{next(iter(changes))}.*again$"):
        read_summary(tmp_path, "images")


@pytest.mark.parametrize("changes", [{"low": None}, {"high": 2}, {"count": 1.5}, {"count": 3}, {"frequency": "0"}])
def test_a_calibration_with_another_bin_is_refused(changes, tmp_path):
    path = tmp_path / "calibration.json"
    errors = dict.fromkeys(("expected_calibration_error", "expected_calibration_error_above_first_bin"))
    good = {"bins": [BIN, {**BIN, "count": 3, "mean_probability": 0.25, "frequency": 1}], **errors}
    path.write_text(json.dumps(good))
    assert read_calibration(path) == good
    path.write_text(json.dumps({**good, "bins": [{**BIN, **changes}]}))
    with pytest.raises(InputError, match=r"calibration.json is not as it was written: .*bins\[0\]"):
        read_calibration(path)


def test_a_data_check_needs_its_counts_and_problems(tmp_path):
    path = tmp_path / "data_check.json"
    good = {"num_images": 2, "num_near_duplicates": 0, "problems": [{"kind": "a", "text": "b", "files": ["c.png"]}]}
    path.write_text(json.dumps(good))
    assert read_data_check(path) == good
    for name in good:
        path.write_text(json.dumps({**good, name: None}))
        with pytest.raises(InputError, match=rf"data_check.json is not as it was written: \$.{name} is None"):
            read_data_check(path)
