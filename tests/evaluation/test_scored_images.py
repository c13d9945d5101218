# SPDX-License-Identifier: Apache-2.0

"""Which images are scored, and what their scores mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.checkpoints.model_record import describe_model
from scripts.checkpoints.model_schema import PUBLISHED
from scripts.common.errors import InputError
from scripts.common.files import file_digest
from scripts.data.splits.split import Fold, Split
from scripts.data.survey import Facts
from scripts.evaluation.scored_images import ScoredData, images_to_score, warn_of_training_images
from scripts.image_io.readers import ImageFileReader, MaskFileReader

NAMES = ["images/a.png", "images/b.png", "images/c.png", "images/d.png"]
SPLIT = Split([Fold([0], [1], [2, 3])], ["p1", "p2", "p3", "p3"], NAMES)


def dataset(root: str, pixels: str, names: list[str] = NAMES) -> tuple[list[dict[str, str]], list[Facts]]:
    """Images whose pixels are told apart by letters."""
    datalist = [{"image": f"{root}/{name}", "label": f"{root}/masks/{name}"} for name, _ in zip(names, pixels)]
    return datalist, [Facts(item["image"], digest=letter) for item, letter in zip(datalist, pixels)]


SETTINGS = describe_model({**PUBLISHED, "dataset_dir": "/data", "fold": 0}, SPLIT, dataset("/data", "abcd")[1], [])


def choose(root: str, pixels: str, settings=SETTINGS, names: list[str] = NAMES, **changes: Any):
    """Groups of the chosen images by their letters, the protocol, and how many had a part in the training."""
    datalist, facts = dataset(root, pixels, names)
    asked = {"dataset_dir": root, "part": "test", "fold": 0, "group": None, **changes}
    chosen = images_to_score(settings, datalist, facts=facts, root=root, **asked)
    assert [each.image for each in chosen["facts"]] == [item["image"] for item in chosen["test"]]
    groups = {each.digest: item["group"] for each, item in zip(chosen["facts"], chosen["test"])}
    return groups, chosen["protocol"], chosen["seen"]


HELD_OUT = {"c": "p3", "d": "p3"}
EVERY = {"a": "p1", "b": "p2", "c": "p3", "d": "p3"}


def test_a_model_is_scored_on_what_its_training_held_out():
    assert choose("/data", "abcd") == (HELD_OUT, "held-out", 0)
    assert choose("/data", "abcd", {**SETTINGS, "protocol": "paper"})[1] == "paper"
    assert choose("/data", "abcd", part="all") == (EVERY, "all", 2)
    assert choose("/data", "abcd", group=".")[0] == {"c": "c", "d": "d"}


def test_a_dataset_that_has_moved_is_known_by_its_pixels():
    assert choose("/elsewhere", "abcd") == (HELD_OUT, "held-out", 0)
    assert choose("/elsewhere", "cd") == (HELD_OUT, "held-out", 0)  # what was held out alone, under other names
    assert choose("/elsewhere", "d") == ({"d": "p3"}, "held-out", 0)  # a part of it
    assert choose("/elsewhere", "abc") == ({"a": "p1", "b": "p2", "c": "p3"}, "all", 2)
    assert choose("/elsewhere", "bx") == ({"b": "p2", "x": "images/b.png"}, "all", 1)  # one that chose the epoch


def test_each_image_tells_whether_the_model_has_seen_it():
    datalist, facts = dataset("/data", "abcd")
    for settings, seen in ((SETTINGS, ["yes", "yes", "no", "no"]), (PUBLISHED, ["unknown"] * 4)):
        chosen = images_to_score(
            settings, datalist, facts=facts, root="/data", dataset_dir="/data", part="all", fold=0, group=None
        )
        assert [item["seen"] for item in chosen["test"]] == seen


def test_what_weights_of_unknown_training_have_seen_is_not_taken_for_unseen(tmp_path):
    unknown = tmp_path / "checkpoint_epoch=9.pt"
    unknown.write_bytes(b"weights")
    knobs, facts = {**PUBLISHED, "dataset_dir": "/data", "fold": 0}, dataset("/data", "abcd")[1]
    first = describe_model(knobs, SPLIT, facts, [], unknown)
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    weights.with_suffix(".json").write_text(json.dumps({**first, "sha256": file_digest(weights)}))
    then = describe_model(knobs, SPLIT, facts, [], weights)  # a training that goes on from the first
    for settings in (first, then):
        asked = {"root": "/data", "dataset_dir": "/data", "part": "all", "fold": 0, "group": None}
        chosen = images_to_score(settings, dataset("/data", "abcd")[0], facts=facts, **asked)
        assert not settings["start_is_known"] and chosen["seen"] == 2
        assert [item["seen"] for item in chosen["test"]] == ["yes", "yes", "unknown", "unknown"]


def test_what_an_encoder_has_seen_counts(tmp_path):
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    weights.with_suffix(".json").write_text(json.dumps({**SETTINGS, "sha256": file_digest(weights)}))
    knobs, facts = {**PUBLISHED, "dataset_dir": "/new", "fold": 0}, dataset("/new", "wxyz")[1]
    assert choose("/data", "abcd", describe_model(knobs, SPLIT, facts, [], encoder=weights))[2] == 2


def test_where_nothing_was_held_out_its_own_images_are_scored_on_demand_only():
    images = {name: {**image, "part": "train"} for name, image in SETTINGS["images"].items()}
    settings = {**SETTINGS, "images": images}
    for root in ("/data", "/elsewhere"):
        with pytest.raises(InputError, match=f"the images of {root} and none was held out to score; name others by"):
            choose(root, "abcd", settings)
    assert choose("/data", "abcd", settings, part="all") == (EVERY, "all", 4)
    assert choose("/other", "xy", settings)[1:] == ("external", 0)


def test_images_that_chose_the_epoch_are_counted_under_the_papers_protocol():
    paper = {**SETTINGS, "protocol": "paper"}
    assert choose("/data", "abcd", paper) == (HELD_OUT, "paper", 2)
    assert choose("/data", "abcd", paper, part="all") == (EVERY, "all", 4)


@pytest.mark.parametrize("name", ["model", "model.previous"])
def test_what_a_model_saw_before_it_was_trained_further_is_counted(name, tmp_path):
    weights = tmp_path / f"{name}.pt"
    weights.write_bytes(b"weights")
    weights.with_suffix(".json").write_text(json.dumps({**SETTINGS, "sha256": file_digest(weights)}))
    knobs = {**PUBLISHED, "dataset_dir": "/new", "fold": 0}
    further = describe_model(knobs, SPLIT, dataset("/new", "wxyz")[1], [], weights)
    assert choose("/data", "abcd", further) == (dict(zip("abcd", NAMES)), "all", 2)
    assert choose("/new", "wxyz", further) == ({"y": "p3", "z": "p3"}, "held-out", 0)
    assert choose("/new", "wxyz", describe_model(knobs, SPLIT, dataset("/new", "wxyz")[1], []))[2] == 0


def test_a_copy_of_a_training_image_that_was_held_out_is_counted():
    facts = dataset("/data", "abca")[1]  # images/d.png is images/a.png again
    leaky = describe_model({**PUBLISHED, "dataset_dir": "/data", "fold": 0}, SPLIT, facts, [])
    assert choose("/data", "abca", leaky) == ({"c": "p3", "a": "p3"}, "held-out", 1)


def test_other_images_of_the_same_names_are_another_dataset():
    assert choose("/other", "wxyz") == (dict(zip("wxyz", NAMES)), "external", 0)
    assert choose("/other", "wxyz", group="(.)[.]png")[0] == dict(zip("wxyz", "abcd"))


def test_synthetic_images_are_not_scored_in_place_of_images_that_were_not_named():
    assert choose("/drawn", "abcd", dataset_dir=None) == (HELD_OUT, "held-out", 0)  # of a training on them
    for settings in (SETTINGS, {**PUBLISHED, "fold": 0}):
        with pytest.raises(InputError, match="/drawn holds no image that the model was trained on; .* by --ckpt_dir"):
            choose("/drawn", "wxyz", settings, dataset_dir=None)


def test_a_model_of_unknown_training_is_scored_on_everything():
    assert choose("/data", "abcd", PUBLISHED, fold=3) == (dict(zip("abcd", NAMES)), "unknown", None)


def test_images_to_score_that_are_not_there():
    with pytest.raises(InputError, match=r"images/c.png is not in /data, but was there when .* \(1 such image"):
        choose("/data", "ad", names=[NAMES[0], NAMES[3]])
    with pytest.raises(InputError, match=r"images/d.png has other pixels than when it was held out .* put it back, or"):
        choose("/data", "abcx")
    with pytest.raises(InputError, match="part is 'train'; use \"test\" for the images that were held out, or \"all\""):
        choose("/data", "abcd", part="train")
    with pytest.raises(InputError, match="fold is 3, but the model was trained on fold 0 .* leave --fold out"):
        choose("/data", "abcd", fold=3)


def test_scores_on_training_images_come_with_a_warning(caplog):
    warn_of_training_images(0, "ab", True)
    warn_of_training_images(None, "ab", True)
    assert not caplog.records
    warn_of_training_images(1, "ab", True)
    assert "trained on 1 of the 2 images" in caplog.text and "started from" not in caplog.text
    warn_of_training_images(0, "ab", False)
    assert "the model started from weights whose images are not on record" in caplog.text


def test_the_data_of_an_evaluation_are_what_is_scored_and_what_was_seen_of_it(trained, blobs, tmp_path):
    readers = {"image_reader": ImageFileReader(), "mask_reader": MaskFileReader(2), "cache_dir": str(tmp_path)}
    choice = {"settings": trained.settings, "dataset_dir": str(blobs), "fold": 0, "group": None}
    about = {"folder": str(blobs), "layout": "folder", **readers, **choice}
    data = ScoredData(part="test", **about)
    held_out = {name for name, image in trained.settings["images"].items() if image["part"] == "test"}
    assert {Path(item["image"]).relative_to(blobs).as_posix() for item in data.test} == held_out
    assert [facts.image for facts in data.facts] == [item["image"] for item in data.test]
    assert len(data.survey) == 11 and len(data.facts) == 3 and data.duplicates == []
    assert (data.protocol, data.seen, data.leaks) == ("held-out", 0, trained.settings["leaks"])
    every = ScoredData(part="all", **{**about, "settings": {**trained.settings, "leaks": [{"fold": 0}]}})
    assert (len(every.test), every.protocol, every.seen, every.leaks) == (11, "all", 8, [])
