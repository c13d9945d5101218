# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest
import torch

from scripts.common.command_line import config_of
from scripts.common.errors import InputError
from scripts.contest.contestants import Contestant, build_network, check_free, definition_of
from workflows import BUNDLE, CONFIGS

TRAIN = str(CONFIGS / "train.json")


def test_a_contestant_has_a_folder_a_seed_and_two_overlays():
    contestant = Contestant("paper", "unet")
    assert contestant.run(3) == "paper/unet/seed_3" and contestant.run(3) != contestant.run(0)
    assert contestant.overlays(CONFIGS) == [str(CONFIGS / "networks/unet.json"), str(CONFIGS / "recipes/paper.json")]


def test_an_overlay_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="networks/none.json is not there; the networks are attention_unet, "):
        Contestant("paper", "none").overlays(CONFIGS)


def test_a_recipe_that_is_not_there(tmp_path):
    for name in ("networks/own", "recipes/slow", "recipes/fast"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.json").touch()
    assert len(Contestant("fast", "own").overlays(tmp_path)) == 2
    with pytest.raises(InputError, match=f"^{tmp_path}/recipes/soup.json is not there; the recipes are fast, slow$"):
        Contestant("soup", "own").overlays(tmp_path)


@pytest.mark.parametrize(
    "knob, is_free",
    [
        ("optimizer", False),
        ("optimizer#lr", False),
        ("optimizer#lr#decay", False),
        ("loss", False),  # of which the overlay sets a part
        ("loss#weight", False),
        ("loss#weights", True),
        ("optimizers", True),
        ("optim", True),
    ],
)
def test_a_knob_is_free_that_no_overlay_sets(knob, is_free, tmp_path):
    others, overlay = tmp_path / "a.json", tmp_path / "b.json"
    others.write_text("{}")
    overlay.write_text(json.dumps({"optimizer": {"lr": 1}, "loss#weight": 2}))
    if is_free:
        check_free(["seed", knob], [str(others), str(overlay)])
        return
    with pytest.raises(InputError, match=f"^{knob} is set by {overlay}; leave it out, or write an overlay"):
        check_free(["seed", knob], [str(others), str(overlay)])


def definition(*overlays: str, **knobs: str) -> dict:
    files = [TRAIN, *(str(CONFIGS / "networks" / f"{name}.json") for name in overlays)]
    return json.loads(definition_of(config_of(files, {"bundle_root": str(BUNDLE), **knobs})))


def test_a_definition_tells_networks_apart_and_nothing_else(tmp_path):
    unet = definition("unet")
    assert unet["network_def"]["channels"] == [24, 48, 96, 192, 384]
    assert unet == definition("unet", learning_rate="0.5", max_epochs="7", dataset_dir=str(tmp_path))
    assert definition("unet", out_channels="3")["out_channels"] == 3
    texts = [json.dumps(definition(*names)) for names in ((), ("unet",), ("qtseg_group",), ("qtseg_detail",))]
    assert len({*texts}) == 4


def test_networks_are_built_where_they_are_timed():
    files = [TRAIN, str(CONFIGS / "networks" / "unet.json")]
    network = build_network(files, {"bundle_root": str(BUNDLE)}, torch.device("meta"))
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


def test_knobs_and_overlays_set_what_is_built():
    knobs = {"bundle_root": str(BUNDLE), "out_channels": "3"}
    network = build_network([TRAIN, str(CONFIGS / "networks" / "unet.json")], knobs, torch.device("cpu"))
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
