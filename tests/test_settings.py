# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from scripts.cleaning import NO_CLEANING
from scripts.errors import InputError
from scripts.folds import Fold, Split
from scripts.settings import (
    PUBLISHED,
    describe_model,
    file_digest,
    keep_previous_model,
    read_settings,
    settings_of_checkpoint,
)
from scripts.survey import Facts
from workflows import BUNDLE


def test_without_a_file_the_published_setting_is_used(tmp_path):
    assert read_settings(tmp_path) == PUBLISHED


@pytest.mark.parametrize(
    "text, message", [("{", "not valid JSON"), (json.dumps({"fold": 0}), "spatial_size"), ("[]", "lacks")]
)
def test_a_broken_file_is_named(tmp_path, text, message):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_settings(tmp_path)
    assert str(tmp_path / "model.json") in str(error.value)


ADDED = ("network_name", "norm", "detail", "label_fit", "start_is_known")


def test_models_of_earlier_versions_have_the_network_of_then(tmp_path):
    settings = {name: value for name, value in PUBLISHED.items() if name not in ADDED}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    assert read_settings(tmp_path) == PUBLISHED


def test_the_record_of_images_of_earlier_versions_is_used_where_it_holds(tmp_path, caplog):
    images = {"a.png": {"part": "train", "group": "a", "digest": "a"}}
    settings = {name: value for name, value in PUBLISHED.items() if name not in ADDED} | {"images": images}
    for changes, known, kept in (
        ({"weights": None}, True, images),
        ({"weights": "models/model.pt"}, True, images),
        ({"weights": "release.pt"}, False, images),
        ({"color_space": "YCrCb"}, True, {}),
    ):
        (tmp_path / "model.json").write_text(json.dumps({**settings, **changes}))
        found = read_settings(tmp_path)
        assert (found["start_is_known"], found["images"]) == (known, kept)
    assert [record.message for record in caplog.records if "that knew images by converted colors" in record.message]


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


def test_the_model_of_an_earlier_training_is_kept(tmp_path):
    keep_previous_model(tmp_path / "nothing yet")
    for round_ in ("first", "second"):
        for suffix in ("pt", "json"):
            (tmp_path / f"model.{suffix}").write_text(f"{round_} {suffix}")
        keep_previous_model(tmp_path)
        assert (tmp_path / "model.previous.pt").read_text() == f"{round_} pt"
        assert (tmp_path / "model.previous.json").read_text() == f"{round_} json"
        assert (tmp_path / "model.pt").is_file()  # until the new training has a better one
    (tmp_path / "model.json").unlink()
    keep_previous_model(tmp_path)
    assert not (tmp_path / "model.previous.json").exists()


def save(folder, name: str, **settings) -> str:
    """Weights with settings of their own beside them."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pt").write_text(f"weights of {folder} {name}")
    digest = file_digest(folder / f"{name}.pt")
    (folder / f"{name}.json").write_text(json.dumps({**PUBLISHED, **settings, "sha256": digest}))
    return str(folder / f"{name}.pt")


def test_each_checkpoint_has_the_settings_of_its_own_training(tmp_path):
    models, other = tmp_path / "models", tmp_path / "other"
    of_fold = {
        save(models, "model", fold=1, run="train_1"): 1,
        save(models, "model.previous", fold=2, run="train_0"): 2,
        save(other, "model", fold=3): 3,
        str(tmp_path / "eval" / "train_1" / "checkpoint_epoch=9_step=1.pt"): 1,
    }
    for checkpoint, fold in of_fold.items():
        assert settings_of_checkpoint(checkpoint, models)["fold"] == fold
    (other / "model.json").unlink()
    assert settings_of_checkpoint(str(other / "model.pt"), models) == PUBLISHED


@pytest.mark.parametrize("name", ["train_0/checkpoint_epoch=9_step=1.pt", "weight_best_dice.pt"])
def test_a_checkpoint_without_settings_does_not_get_those_of_another_model(tmp_path, name):
    save(tmp_path / "models", "model", run="train_1")
    for folder in (tmp_path / "models", tmp_path / "empty"):
        with pytest.raises(InputError, match=f"{name} has no settings .* copy the file to a folder of its own"):
            settings_of_checkpoint(str(tmp_path / name), folder)


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_the_model_before_is_used_as_it_was_trained(tmp_path, workflow):
    save(tmp_path / "models", "model", spatial_size=[64, 64])
    checkpoint = save(tmp_path / "models", "model.previous", spatial_size=[96, 96])
    config = ConfigParser()
    config.read_config([str(BUNDLE / "configs" / name) for name in ("train.json", f"{workflow}.json")])
    config.update({"ckpt_dir": str(tmp_path / "models"), "checkpoint": checkpoint})
    assert config.get_parsed_content("spatial_size") == [96, 96]
