# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

from scripts.checkpoints.model_record import describe_model
from scripts.checkpoints.model_schema import PUBLISHED
from scripts.common.files import file_digest
from scripts.data.splits.split import Fold, Split
from scripts.data.survey import Facts
from scripts.transforms.cleaning import NO_CLEANING

SPLIT = Split([Fold([0], [1], [2]), Fold([2], [1], [0])], ["a", "b", "b"], ["images/a.png", "b.png", "images/c.png"])
FACTS = [Facts(name, digest=name[-5]) for name in SPLIT.images]


def test_a_model_remembers_where_its_images_are(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    described = describe_model({"dataset_dir": "data", "fold": 0}, SPLIT, FACTS, [{"fold": 0}, {"fold": 1}])
    assert described["dataset_dir"] == str(tmp_path / "data") and described["fold"] == 0
    assert described["leaks"] == [{"fold": 0}]
    assert described["images"] == {
        "images/a.png": {"part": "train", "group": "a", "digest": "a"},
        "b.png": {"part": "validate", "group": "b", "digest": "b"},
        "images/c.png": {"part": "test", "group": "b", "digest": "c"},
    }
    assert describe_model({"dataset_dir": None, "fold": 1}, SPLIT, FACTS, [])["dataset_dir"] is None


def test_the_cleaning_of_the_model_that_a_training_starts_from_is_kept(tmp_path):
    (tmp_path / "model.pt").write_text("weights")
    kept = {"fill_holes": True, "largest_component": False, "smallest_object": 9}
    digest = file_digest(tmp_path / "model.pt")
    (tmp_path / "model.json").write_text(json.dumps({**PUBLISHED, "cleaning": kept, "sha256": digest}))
    knobs = {"dataset_dir": None, "fold": 0}
    for weights, cleaning in ((str(tmp_path / "model.pt"), kept), ("other.pt", NO_CLEANING), (None, NO_CLEANING)):
        assert describe_model(knobs, SPLIT, FACTS, [], weights)["cleaning"] == cleaning


def test_what_is_scored_is_remembered_as_such_where_it_chose_the_epoch_too():
    paper = Split([Fold([0], [1, 2], [1, 2])], SPLIT.groups, SPLIT.images)
    images = describe_model({"dataset_dir": None, "fold": 0}, paper, FACTS, [])["images"]
    assert [image["part"] for image in images.values()] == ["train", "test", "test"]
