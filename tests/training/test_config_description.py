# SPDX-License-Identifier: Apache-2.0

"""Configs are described by what they build, without building it."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from monai.bundle import ConfigParser

from scripts.common.errors import InputError
from scripts.training.config_description import ConfigDescription

CONFIG = {
    "imports": ["$import math"],
    "size": 64,
    "side": {"_target_": "scripts.common.knobs.image_size", "spatial_size": "@size"},
    "is_native": {"_target_": "scripts.common.knobs.switch", "is_native": "false"},
    "load": [{"_target_": "LoadImaged", "keys": "image", "_desc_": "words"}],
    "fit": [{"_target_": "scripts.transforms.spatial.Fitd", "keys": "image", "spatial_size": "@side"}],
    "crop": [{"_target_": "RandSpatialCropd", "keys": "image", "roi_size": "$[@size // 2, @size]"}],
    "steps": {"_target_": "Compose", "transforms": "$@load + (@crop if @is_native else @fit)", "num_workers": 3},
    "network": {"_target_": "there.Net", "width": "$math.floor(2.5)"},
    "placed": "$@network.to(@device)",
    "device": "cuda:0",
    "rate": 0.5,
    "optimizer": {"_target_": "torch.optim.SGD", "params": "$@placed.parameters()", "lr": "@rate"},
    "schedule": {
        "_target_": "LambdaLR",
        "optimizer": "@optimizer",
        "lr_lambda": "$lambda epoch: @rate ** epoch",
        "dtype": "$torch.float32",
        "steps": "$10 * len(@loader)",
    },
    "loader": {"_target_": "DataLoader", "dataset": "@images"},
    "images": {"_target_": "no.module.ReadsAllImages"},
    "switched": ["@rate", {"_target_": "Rotate", "_disabled_": "$not @is_native"}, {"_target_": "Flip"}],
}


def describe(id: str, config: dict[str, Any] | None = None) -> Any:
    parser = ConfigParser(deepcopy(CONFIG if config is None else config))
    parser.get_parsed_content("imports")
    before = deepcopy(parser.get())
    description = ConfigDescription(
        parser, unbuilt={"network"}, places={"device"}, left_out={"num_workers", "optimizer"}
    )
    described = description.describe(id)
    assert parser.get() == before  # nor is anything built
    assert not {"network", "steps", "images", "loader", "optimizer"} & set(parser.ref_resolver.resolved_content)
    return json.loads(json.dumps(described))


@pytest.mark.parametrize(
    "id, described",
    [
        ("size", 64),
        ("side", [64, 64]),  # a function of the bundle that takes values is called
        (
            "steps",
            {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "LoadImaged", "keys": "image"},
                    {"_target_": "Fitd", "keys": "image", "spatial_size": [64, 64]},
                ],
            },
        ),
        ("network", {"_target_": "Net", "width": 2}),
        ("network#width", 2),
        ("optimizer", {"_target_": "SGD", "params": "(Net.to(device)).parameters()", "lr": 0.5}),
        (
            "schedule",
            {
                "_target_": "LambdaLR",
                "lr_lambda": "lambda epoch: 0.5 ** epoch",
                "dtype": "torch.float32",
                "steps": "10 * len(DataLoader)",
            },
        ),
        ("switched", [0.5, {"_target_": "Flip"}]),
        ("nothing of that name", None),
    ],
)
def test_what_is_described(id, described):
    assert describe(id) == described


def test_arguments_at_the_defaults_of_the_class_are_left_out():
    fit = {"_target_": "torch.optim.SGD", "params": "@placed", "lr": 0.001, "momentum": 0, "nesterov": True}
    assert describe("fit", {**CONFIG, "fit": fit}) == {
        "_target_": "SGD", "params": "Net.to(device)", "nesterov": True
    }  # fmt: skip


def test_names_and_places_in_the_config_do_not_matter():
    text = json.dumps(dict(reversed(CONFIG.items())))
    for name in ("load", "fit", "crop", "side", "is_native", "rate", "placed", "loader"):
        text = text.replace(f'"{name}":', f'"my_{name}":').replace(f"@{name}", f"@my_{name}")
    text = text.replace("scripts.transforms.spatial.Fitd", "moved.Fitd").replace("there.Net", "elsewhere.deep.Net")
    config = json.loads(text)
    config["more"] = ["@my_load#0", *config["my_fit"]]  # as another list, of a part and a copy
    config["steps"]["transforms"] = "$@my_crop if @my_is_native else @more"
    for id in ("steps", "network", "optimizer", "schedule"):
        assert describe(id, config) == describe(id)


@pytest.mark.parametrize(
    "id, change",
    [
        ("steps", {"size": 96}),
        ("steps", {"load": [{"_target_": "LoadImage", "keys": "image"}]}),
        ("steps", {"load": CONFIG["fit"], "fit": CONFIG["load"]}),
        ("steps", {"is_native": True}),
        ("network", {"network": {"_target_": "there.Net", "width": 3}}),
        ("network", {"network": {"_target_": "there.OtherNet", "width": 2}}),
        ("optimizer", {"placed": "$@network.decoder"}),
        ("optimizer", {"network": {"_target_": "there.OtherNet"}}),
        ("schedule", {"rate": 0.25}),
        ("schedule", {"loader": {"_target_": "OtherLoader"}}),
    ],
)
def test_what_changes_a_result_matters(id, change):
    assert describe(id, {**CONFIG, **change}) != describe(id)


@pytest.mark.parametrize("change", [{"device": "cpu"}, {"device": "$torch.device('cpu')"}, {"images": None}])
def test_what_changes_no_result_does_not_matter(change):
    for id in ("optimizer", "schedule"):
        assert describe(id, {**CONFIG, **change}) == describe(id)


def test_mistakes_stay_mistakes():
    with pytest.raises(RuntimeError) as failure:
        describe("steps", {**CONFIG, "is_native": "$1 / 0"})
    assert isinstance(failure.value.__cause__.__cause__, ZeroDivisionError)
    with pytest.raises(InputError, match="spatial_size is"):
        try:
            describe("side", {**CONFIG, "size": 100})
        except RuntimeError as error:
            raise error.__cause__ from None
