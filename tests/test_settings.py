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
from ignite.engine import Engine, Events

from scripts.errors import InputError
from scripts.folds import PROTOCOLS, Fold, Split
from scripts.settings import (
    PUBLISHED,
    SaveSettings,
    describe_model,
    images_to_score,
    keep_previous_model,
    read_settings,
    warn_of_training_images,
)


def test_without_a_file_the_published_setting_is_used(tmp_path):
    assert read_settings(tmp_path) == PUBLISHED


def test_settings_follow_the_best_model(tmp_path):
    scores = iter([0.5, 0.4, 0.6])
    written = []
    engine = Engine(lambda engine, batch: None)

    @engine.on(Events.EPOCH_COMPLETED)
    def compare(engine):
        score = next(scores)
        if score > getattr(engine.state, "best_metric", -1):
            (tmp_path / "model.pt").write_text(f"weights of epoch {engine.state.epoch}")
            engine.state.best_metric, engine.state.best_metric_epoch = score, engine.state.epoch

    SaveSettings(tmp_path, {**PUBLISHED, "spatial_size": [64, 96], "fold": 3}).attach(engine)

    @engine.on(Events.EPOCH_COMPLETED)
    def look(engine):
        written.append((tmp_path / "model.json").is_file())
        (tmp_path / "model.json").rename(tmp_path / f"{engine.state.epoch}.json") if written[-1] else None

    engine.run([0], max_epochs=3)
    assert written == [True, False, True]
    (tmp_path / "3.json").rename(tmp_path / "model.json")
    assert read_settings(tmp_path)["spatial_size"] == [64, 96]
    assert read_settings(tmp_path)["fold"] == 3
    (tmp_path / "model.pt").write_text("weights from elsewhere")
    with pytest.raises(InputError, match="model.json was written for another model than .*model.pt"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    "text, message", [("{", "not valid JSON"), (json.dumps({"fold": 0}), "spatial_size"), ("[]", "lacks")]
)
def test_a_broken_file_is_named(tmp_path, text, message):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_settings(tmp_path)
    assert str(tmp_path / "model.json") in str(error.value)


SPLIT = Split([Fold([0], [1], [2]), Fold([2], [1], [0])], ["a", "b", "b"], ["images/a.png", "b.png", "images/c.png"])


def test_a_model_remembers_where_its_images_are(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    described = describe_model({"dataset_dir": "data", "fold": 0}, SPLIT, [{"image": "data/images/a.png"}])
    assert described["dataset_dir"] == str(tmp_path / "data") and described["fold"] == 0
    assert described["trained_on"] == [str(tmp_path / "data" / "images" / "a.png")]
    assert described["scored_on"] == {"images/c.png": "b"}
    assert describe_model({"dataset_dir": None, "fold": 1}, SPLIT, [])["dataset_dir"] is None


def items(root: str, *names: str) -> list[dict[str, str]]:
    return [{"image": f"{root}/{name}", "label": f"{root}/masks/{name}"} for name in names]


def test_a_model_is_scored_on_what_its_training_held_out():
    settings = describe_model({**PUBLISHED, "dataset_dir": "/data", "fold": 0}, SPLIT, [])
    datalist = items("/data", *SPLIT.images)
    chosen = images_to_score(settings, datalist, root="/data", dataset_dir="/data", part="test")
    assert chosen == {"test": [{**datalist[2], "group": "b"}], "protocol": PROTOCOLS["held-out"]}
    paper = images_to_score({**settings, "protocol": "paper"}, datalist, root="/data", dataset_dir="/data", part="test")
    assert "on the scored images themselves" in paper["protocol"]
    every = images_to_score(settings, datalist, root="/data", dataset_dir="/data", part="all")
    assert len(every["test"]) == 3 and "trained on included" in every["protocol"]


@pytest.mark.parametrize("changes", [{"dataset_dir": "/other"}, {"scored_on": None}])
def test_of_other_datasets_all_images_are_scored(changes):
    settings = {**describe_model({**PUBLISHED, "dataset_dir": "/data", "fold": 0}, SPLIT, []), **changes}
    chosen = images_to_score(settings, items("/data", "x.png", "y.png"), root="/data", dataset_dir="/data", part="test")
    assert [item["group"] for item in chosen["test"]] == ["x.png", "y.png"]
    assert chosen["protocol"].startswith("external images")


def test_images_to_score_that_are_not_there():
    settings = describe_model({**PUBLISHED, "dataset_dir": "/data", "fold": 0}, SPLIT, [])
    with pytest.raises(InputError, match=r"images/c.png is not in /data, but was held out in training \(1 such"):
        images_to_score(settings, items("/data", "b.png"), root="/data", dataset_dir="/data", part="test")
    with pytest.raises(InputError, match="part is 'train'; use \"test\" for the images that were held out, or \"all\""):
        images_to_score(settings, [], root="/data", dataset_dir="/data", part="train")


def test_scores_on_training_images_come_with_a_warning(caplog, tmp_path):
    settings = {"trained_on": [str(tmp_path / "a.png"), str(tmp_path / "b.png")]}
    warn_of_training_images(settings, [{"image": str(tmp_path / "c.png")}])
    assert not caplog.records
    warn_of_training_images(settings, [{"image": str(tmp_path / "c.png")}, {"image": str(tmp_path / "b.png")}])
    assert "trained on 1 of the 2 images" in caplog.text


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
