# SPDX-License-Identifier: Apache-2.0

"""Configs read like a table of contents: short, in order, and with a description of every knob."""

from __future__ import annotations

import json
import re

import pytest
from monai.bundle import ConfigParser

from workflows import CONFIGS

ALL = sorted(CONFIGS.rglob("*.json"))


def read(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


@pytest.mark.parametrize("name, most", [
    ("train", 500),
    ("evaluate", 200),
    ("inference", 200),
])
def test_configs_are_short_enough_to_be_read(name, most):
    assert len((CONFIGS / f"{name}.json").read_text().splitlines()) <= most


def test_a_training_is_told_from_its_knobs_to_its_run():
    order = list(read("train"))
    parts = "_data_ knobs data load network_def network train validate run_dir run training"
    assert [order.index(name) for name in parts.split()] == sorted(order.index(name) for name in parts.split())


@pytest.mark.parametrize("base, name, end", [
    ((), "train", "knobs"), ((), "inference", "trained"), (("train",), "evaluate", "trained"),
    (("inference",), "ensemble", "ckpt_dir"), (("train",), "recipes/paper", "augment#max_changes"),
    (("train",), "recipes/paper_fives", None), (("train",), "paper_protocol", None),
])  # fmt: skip
def test_every_knob_has_a_description_and_every_description_a_knob(base, name, end):
    """The knobs come first in a config, each group after its description."""
    config, described = read(name), []
    block = list(config)[: list(config).index(end)] if end else []
    for group, content in config.items():
        if group.startswith("_"):
            assert content["_desc_"], group
            described += [knob for knob in content if knob != "_desc_"]
    assert len(described) == len(set(described))
    first = {knob for knob in block if not knob.startswith("_") and not knob.endswith("imports")}
    assert first <= set(described)
    if not base:
        assert first == {knob for knob in described if "#" not in knob}
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{file}.json") for file in (*base, name)])
    assert all(knob in parser for knob in described)


@pytest.mark.parametrize("base", ["train", "inference"])
def test_no_overlay_takes_the_place_of_a_description(base):
    of_base = {name for name in read(base) if name.startswith("_")}
    titles = {read(base)[name]["_desc_"] for name in of_base}
    overlays = ("evaluate", "check", "paper_protocol", "recipes/paper") if base == "train" else ("ensemble",)
    for overlay in overlays:
        groups = {name: group for name, group in read(overlay).items() if name.startswith("_")}
        assert not of_base & set(groups) and not titles & {group["_desc_"] for group in groups.values()}


def test_descriptions_are_plain_text():
    for path in ALL:
        for name, group in json.loads(path.read_text()).items():
            for text in group.values() if name.startswith("_") else []:
                assert text.strip() == text and not re.search(r"[$@#|]|::|^%", text), (path, text)
                assert text.endswith(".") or text == group["_desc_"], (path, text)
