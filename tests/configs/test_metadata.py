# SPDX-License-Identifier: Apache-2.0

"""The metadata are what the bundle's specification asks for, and agree with all else that tells the same."""

from __future__ import annotations

import configparser
import json

import monai.bundle
from packaging.requirements import Requirement

from workflows import BUNDLE, CONFIGS

ROOT = BUNDLE.parent


def read_metadata() -> dict:
    return json.loads((CONFIGS / "metadata.json").read_text())


REQUIRED = (
    "version changelog monai_version pytorch_version numpy_version "
    "required_packages_version task description authors copyright data_source data_type intended_use references "
    "network_data_format image_classes label_classes pred_classes name schema"
)
TENSOR = "type format modality num_channels spatial_shape dtype value_range is_patch_data channel_def"


def test_metadata_has_every_field_of_the_specification():
    metadata = read_metadata()
    assert set(REQUIRED.split()) <= set(metadata)
    for tensors in metadata["network_data_format"].values():
        for tensor in tensors.values():
            assert set(TENSOR.split()) == set(tensor)
            assert len(tensor["channel_def"]) == tensor["num_channels"]
    assert list(metadata["network_data_format"]["inputs"]) == ["image"]
    assert list(metadata["network_data_format"]["outputs"]) == ["pred"]


def test_versions_agree():
    metadata = read_metadata()
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert metadata["version"] == setup["metadata"]["version"]
    assert metadata["version"] == next(iter(metadata["changelog"]))
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = (Requirement(line) for line in lines if not line.startswith("#"))
    pins = {r.name: str(r.specifier)[2:] for r in pinned}
    named = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
    for package, field in named.items():
        assert pins[package] == metadata[field]
    for package, version in metadata["required_packages_version"].items():
        assert pins[package] == version
    requirements = [Requirement(line) for line in setup["options"]["install_requires"].split("\n") if line.strip()]
    requirements += [Requirement(line) for line in setup["options.extras_require"]["test"].split("\n") if line.strip()]
    for requirement in requirements:
        assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_network_in_and_out_are_as_the_metadata_says(monkeypatch):
    monkeypatch.chdir(BUNDLE)
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
        device="cpu",
        n=2,
        ckpt_dir="nowhere",
    )
