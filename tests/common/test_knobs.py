# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re

import pytest
from monai.bundle import ConfigParser

from scripts.common.errors import InputError
from scripts.common.knobs import CHECKS, check_batch, check_knobs, image_size, switch
from workflows import BUNDLE

KNOBS = {
    "spatial_size": [64, 96],
    "out_channels": 2,
    "batch_size": 4,
    "max_epochs": 1,
    "val_interval": 1,
    "save_interval": 10,
    "learning_rate_step": 50,
    "num_workers": 0,
    "freeze_epochs": 0,
    "learning_rate": 1e-3,
    "weight_decay": 0,
    "cache_rate": 0.5,
    "crops_per_image": 4,
    "overlap": 0.25,
    "precision": "float32",
    "min_learning_rate": 1e-5,
    "fold": 0,
    "num_folds": 5,
    "weights": None,
    "encoder_weights": None,
}


@pytest.mark.parametrize("given, size", [(256, (256, 256)), ([64, 96], (64, 96)), ((32, 32), (32, 32))])
def test_image_size(given, size):
    assert image_size(given) == size


@pytest.mark.parametrize(
    "given, message",
    [
        ([500, 512], r"\[500, 512\].*divisible by 32.*\[512, 512\]"),
        (33, r"\[33, 33\].*\[64, 64\]"),
        ([64], "height, width"),
        ([64, 64, 64], "height, width"),
        ("512", "height, width"),
        ([-32, 32], "height, width"),
        (64.0, "height, width"),
    ],
)
def test_bad_image_size(given, message):
    with pytest.raises(InputError, match=message):
        image_size(given)


@pytest.mark.parametrize("given, on", [(True, True), (False, False), ("true", True), ("False", False)])
def test_switch(given, on):
    assert switch(overlays=given) is on


@pytest.mark.parametrize("given", ["yes", 1, None])
def test_bad_switch(given):
    with pytest.raises(InputError, match=f"overlays is {given!r}; it must be true or false"):
        switch(overlays=given)


@pytest.mark.parametrize("knob", CHECKS)
def test_every_check_names_its_knob_and_refuses_what_is_no_value(knob):
    for value in ({}, object()):
        with pytest.raises(InputError, match=f"^{knob} is {re.escape(repr(value))}"):
            check_knobs({**KNOBS, knob: value})


def test_good_knobs_pass():
    check_knobs(KNOBS)


@pytest.mark.parametrize(
    "knob, value, message",
    [
        ("fold", 0.5, "fold is 0.5"),
        ("num_folds", 2.5, "num_folds is 2.5"),
        ("learning_rate", 0, "learning_rate is 0"),
        ("min_learning_rate", "x", "min_learning_rate is 'x'"),
        ("freeze_epochs", 3, "the encoder starts at random"),
        ("out_channels", 1, "counts the background.*use 2"),
        ("out_channels", 0, "out_channels is 0"),
        ("batch_size", 0, "batch_size is 0.*at least 1"),
        ("batch_size", "8", "batch_size is '8'"),
        ("max_epochs", 0, "max_epochs is 0"),
        ("max_epochs", True, "max_epochs is True"),
        ("val_interval", 0, "val_interval is 0"),
        ("num_workers", -1, "num_workers is -1"),
        ("freeze_epochs", -5, "freeze_epochs is -5"),
        ("learning_rate", -1e-3, "learning_rate is -0.001"),
        ("weight_decay", None, "weight_decay is None"),
        ("cache_rate", 1.5, "cache_rate is 1.5"),
        ("crops_per_image", 0, "crops_per_image is 0"),
        ("overlap", "x", "overlap is 'x'; it must be a number of at least 0"),
        ("max_pixels", "abc", "max_pixels is 'abc'; it must be a whole number of at least 1"),
        ("output_dir", 2018, "output_dir is 2018, which is no path; write ./2018"),
        ("label_fit", "area", "label_fit is 'area'; use one of 'shares', 'nearest'"),
        ("pixel_size", 0, "pixel_size is 0; it must be the side of a pixel in mm"),
        ("pixel_size", -0.5, "pixel_size is -0.5"),
        ("pixel_size", [0.5, 0.5], r"pixel_size is \[0.5, 0.5\]"),
        ("tolerance", -1, "tolerance is -1; it must be a number of at least 0"),
        ("overlap", 1, "overlap is 1; it must be at least 0 and less than 1"),
        ("overlap", 0.9999999, "overlap is 0.9999999; use at most 0.95"),
        ("tracking_uri", 2018, "tracking_uri is 2018; it must be the address of an MLflow server or another store"),
        ("scores_dir", 2018, "scores_dir is 2018, which is no path; write ./2018"),
        ("scores_dir", "s::1", "scores_dir is s#1, but in a path of a config no # can be"),
    ],
)
def test_bad_knobs_are_named(knob, value, message):
    with pytest.raises(InputError, match=message):
        check_knobs({**KNOBS, knob: value})


def test_batch_normalization_needs_more_than_one_value():
    for norm, width, images in ((None, 32, 1), ("group", 32, 1), ("batch", 64, 1), ("batch", 32, 2)):
        check_batch(norm, size=(32, width), images=images)
    with pytest.raises(InputError, match="a step of one image of 32 x 32 leaves .*; set --batch_size 2 or more"):
        check_batch("batch", size=(32, 32), images=1)


def names_checked(*configs: str, **overrides) -> None:
    check = {"_target_": "scripts.common.knobs.check_names"}
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in configs])
    parser.update({"run": [check], "mine": 2, "spatial_size": "$32 * @mine", **overrides})
    parser.parse()
    try:
        parser.get_parsed_content("run#0")
    except RuntimeError as error:  # MONAI's, around ours
        raise error.__cause__ from None


def test_names_that_are_used_pass():
    names_checked("train", max_epochs=3)
    names_checked("train", "recipes/paper", learning_rate_step=30)
    names_checked("train", "evaluate", "paper_protocol", part="all", checkpoint="model.pt")
    names_checked("inference", "ensemble", tta="flips", checkpoint="model.pt")


@pytest.mark.parametrize(
    "configs, name, cure",
    [
        (["train"], "epochs", "did you mean max_epochs"),
        (["train"], "zzz", "remove it"),
        (["train"], "checkpoint", "it is one of configs/evaluate.json"),
        (["train"], "learning_rate_step", "it is one of configs/recipes/paper.json"),
        (["train", "evaluate"], "tta", "it is one of configs/inference.json"),
        (["inference"], "weights", "it is one of configs/train.json"),
        (["inference"], "cross_validation_dir", "it is one of configs/ensemble.json"),
    ],
)
def test_a_knob_that_is_misspelled_or_of_another_config_is_refused_rather_than_ignored(configs, name, cure):
    with pytest.raises(InputError, match=f"{name} is no knob of this config and would have no effect; {cure}"):
        names_checked(*configs, **{name: 3})
