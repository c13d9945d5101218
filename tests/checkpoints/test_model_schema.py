# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest

from scripts.checkpoints import model_schema, model_settings
from scripts.checkpoints.model_schema import FIELDS, PUBLISHED, Field, check_settings, missing_fields
from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.networks.qtseg import OPTIONS

#: the fields of versions up to 0.3.0, whose defaults never change; a later field does not belong here
KNOWN = {
    "network_name": "qtseg",
    "norm": "batch",
    "detail": False,
    "refine": False,
    "spatial_size": [512, 512],
    "geometry": "fit",
    "overlap": 0.25,
    "cleaning": {"fill_holes": False, "largest_component": False, "smallest_object": 0},
    "out_channels": 2,
    "dataset_dir": None,
    "layout": "folder",
    "color_space": "RGB",
    "label_colors": None,
    "label_fit": "nearest",
    "fold": 0,
    "protocol": "held-out",
    "split_digest": None,
    "images": {},
    "seen_before": [],
    "start_is_known": True,
    "leaks": [],
}
#: what a training of each version wrote
FIRST = {
    "dataset_dir": "/data/cells", "spatial_size": [256, 320], "batch_size": 8, "max_epochs": 20, "out_channels": 3,
    "learning_rate": 0.001, "layout": "folder", "fold": 1, "num_folds": 5, "remainder": "spread", "num_workers": 0,
    "seed": 0, "weights": None, "encoder_weights": None, "freeze_epochs": 0, "trained_on": ["/data/cells/a.png"],
}  # fmt: skip
IMAGES = {"images/a.png": {"part": "train", "group": "a", "digest": "12ab"}}
SECOND = {
    "dataset_dir": "/data/cells", "spatial_size": [256, 320], "batch_size": 8, "geometry": "native", "overlap": 0.5,
    "out_channels": 3, "layout": "folder", "color_space": "RGB", "label_colors": [[0, 0, 0], [255, 0, 0]], "fold": 2,
    "num_folds": 5, "remainder": "spread", "num_workers": 0, "seed": 0, "split": None, "protocol": "paper",
    "weights": None, "encoder_weights": None,
    "cleaning": {"fill_holes": True, "largest_component": False, "smallest_object": 9}, "split_digest": "ab12",
    "images": IMAGES, "seen_before": ["34cd"], "leaks": [], "run": "train_1",
}  # fmt: skip


def test_the_published_setting_is_as_it_was():
    assert {name: PUBLISHED[name] for name in KNOWN} == KNOWN
    check_settings(PUBLISHED, "model.json")


def test_models_of_the_first_version_are_read(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(FIRST))
    # which of its images had a part in the training was not on record then, by their pixels
    assert read_settings(tmp_path) == {**PUBLISHED, **FIRST, "start_is_known": False}


def test_models_of_the_second_version_are_read(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(SECOND))
    settings = read_settings(tmp_path)
    assert settings == {**PUBLISHED, **SECOND}
    assert (settings["norm"], settings["label_fit"], settings["start_is_known"]) == ("batch", "nearest", True)


@pytest.mark.parametrize("lacking", [{"cleaning"}, {"spatial_size"}, {"geometry", "overlap"}])
def test_what_a_version_wrote_may_not_be_missing(lacking, tmp_path):
    settings = {name: value for name, value in PUBLISHED.items() if name not in lacking}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=f"lacks {', '.join(sorted(lacking))}; delete it"):
        read_settings(tmp_path)


def test_a_model_of_a_version_in_the_making_may_lack_what_came_last():
    expected = {"refine": False, "label_fit": "nearest", "start_is_known": True}
    missing = missing_fields({name: value for name, value in KNOWN.items() if name not in expected})
    assert {name: missing[name] for name in missing if name in KNOWN} == expected
    assert missing_fields(PUBLISHED) == {} and "fold" not in missing_fields({})


def test_every_option_of_the_architecture_is_a_field():
    fields = {field.name: field for field in FIELDS}
    for name, option in OPTIONS.items():
        assert (fields[name].default, fields[name].since) == (option.default, option.since)
        assert fields[name].as_trained and fields[name].is_value(option.absent)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_refuses_what_is_none(field):
    assert field.is_value(field.default)
    for value in ({"$": "$print(1)"}, [["$print(1)"]], 1.5j):
        assert not field.is_value(value)
        with pytest.raises(InputError, match=rf"^model.json has {field.name} .*; expected is ") as error:
            check_settings({**PUBLISHED, field.name: value}, "model.json")
        assert field.expected in str(error.value)


def test_a_field_is_one_row(tmp_path, monkeypatch):
    """A made-up field is completed in models of earlier versions, asked for in its own, and checked."""
    row = Field("stain", "none", "90.9.0", lambda value: value in ("none", "H&E"), "none or H&E")
    later = Field("depth", 8, "90.10.0", lambda value: value in (8, 16), "8 or 16")
    published = {**PUBLISHED, "stain": "none", "depth": 8}
    monkeypatch.setattr(model_schema, "FIELDS", (*FIELDS, row, later))
    monkeypatch.setattr(model_settings, "PUBLISHED", published)
    assert read_settings(tmp_path) == published
    (tmp_path / "model.json").write_text(json.dumps(PUBLISHED))
    assert read_settings(tmp_path) == published
    (tmp_path / "model.json").write_text(json.dumps({**published, "stain": "PAS"}))
    with pytest.raises(InputError, match="model.json has stain 'PAS'; expected is none or H&E: put back the file"):
        read_settings(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**PUBLISHED, "depth": 16}))
    with pytest.raises(InputError, match="model.json lacks stain; delete it"):
        read_settings(tmp_path)
