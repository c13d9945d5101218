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
"""Which images are scored, and what their scores mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import InputError
from scripts.folds import Fold, Split
from scripts.image_reader import ImageFileReader
from scripts.scored_images import images_to_score, protocol_of, seen_in_training
from scripts.settings import PUBLISHED, describe_model
from scripts.survey import Facts, pixel_digest

READER = ImageFileReader()
NAMES = ["images/a.png", "images/b.png", "images/c.png", "images/d.png"]
SPLIT = Split([Fold([0], [1], [2, 3])], ["p1", "p2", "p3", "p3"], NAMES)


def write_images(root: Path, names: list[str], seed: int = 0) -> list[dict[str, str]]:
    random = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    for name in names:
        Image.fromarray(random.integers(0, 255, (8, 9, 3), np.uint8)).save(root / name)
    return [{"image": str(root / name), "label": "not read"} for name in names]


def facts_of(datalist: list[dict[str, str]]) -> list[Facts]:
    return [Facts(item["image"], digest=pixel_digest(READER.get_data([item["image"]])[0])) for item in datalist]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data", write_images(tmp_path / "data", NAMES)


@pytest.fixture
def settings(data):
    root, datalist = data
    return describe_model({**PUBLISHED, "dataset_dir": str(root), "fold": 0}, SPLIT, facts_of(datalist), [])


def choose(settings, datalist, root: Path, **changes: Any):
    asked = {"part": "test", "fold": 0, "group": None, "image_reader": READER, **changes}
    chosen = images_to_score(settings, datalist, root=str(root), dataset_dir=str(root), **asked)
    return {Path(item["image"]).stem: item["group"] for item in chosen["test"]}, chosen["protocol"]


def test_a_model_is_scored_on_what_its_training_held_out(settings, data):
    root, datalist = data
    assert choose(settings, datalist, root) == ({"c": "p3", "d": "p3"}, "held-out")
    assert choose({**settings, "protocol": "paper"}, datalist, root)[1] == "paper"
    every = {"a": "p1", "b": "p2", "c": "p3", "d": "p3"}
    assert choose(settings, datalist, root, part="all") == (every, "all")
    assert choose(settings, datalist, root, group=".")[0] == {"c": "c", "d": "d"}


def test_a_dataset_that_has_moved_is_known_by_its_images(settings, data, tmp_path):
    root, _ = data
    moved = root.rename(tmp_path / "elsewhere")
    datalist = [{"image": str(moved / name), "label": ""} for name in NAMES]
    assert choose(settings, datalist, moved) == ({"c": "p3", "d": "p3"}, "held-out")
    only_test = datalist[2:]
    assert choose(settings, only_test, moved) == ({"c": "p3", "d": "p3"}, "held-out")
    assert choose(settings, datalist[:3], moved) == ({each: f"images/{each}.png" for each in "abc"}, "external")


def test_other_images_of_the_same_names_are_another_dataset(settings, tmp_path):
    datalist = write_images(tmp_path / "other", NAMES, seed=1)
    chosen, protocol = choose(settings, datalist, tmp_path / "other")
    assert list(chosen) == list("abcd") and protocol == "external"
    assert choose(PUBLISHED, datalist, tmp_path / "other")[1] == "external"
    assert choose(settings, datalist, tmp_path / "other", group="^.")[0] == dict(zip("abcd", "abcd"))


def test_images_to_score_that_are_not_there(settings, data):
    root, datalist = data
    with pytest.raises(InputError, match=r"images/c.png is not in .*, but was held out in training \(1 such"):
        choose(settings, [datalist[0], datalist[3]], root)
    with pytest.raises(InputError, match="part is 'train'; use \"test\" for the images that were held out, or \"all\""):
        choose(settings, datalist, root, part="train")
    with pytest.raises(InputError, match="fold is 3, but the model was trained on fold 0 .* leave --fold out"):
        choose(settings, datalist, root, fold=3)


def test_scores_on_training_images_come_with_a_warning(settings, data, caplog):
    _, datalist = data
    facts = facts_of(datalist)
    assert seen_in_training(settings, facts[1:]) == [] and not caplog.records
    renamed = [Facts("/elsewhere/x.png", digest=facts[0].digest), facts[3]]
    assert seen_in_training(settings, renamed) == ["/elsewhere/x.png"]
    assert "trained on 1 of the 2 images" in caplog.text


def test_images_of_another_folder_are_not_external_if_some_were_trained_on():
    assert protocol_of("external", []) == "external" and protocol_of("external", ["x.png"]) == "all"
    assert protocol_of("held-out", ["x.png"]) == "held-out"  # a leak of the split, of which the warning speaks
