# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest
import torch

from scripts.checkpoints.loading import load_trained, start_from
from scripts.checkpoints.model_schema import PUBLISHED
from scripts.common.errors import InputError
from scripts.common.files import file_digest
from scripts.networks.qtseg import OPTIONS, QTSeg


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    network = QTSeg(3, 2)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    return network, tmp_path / "model.pt"


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))


def test_without_files_the_initialization_stays(saved):
    network, before = QTSeg(3, 2), QTSeg(3, 2)
    before.load_state_dict(network.state_dict())
    start_from(network)
    assert same(network, before)


def test_start_from_a_whole_model_or_an_encoder(saved):
    source, path = saved
    whole, encoder = QTSeg(3, 2), QTSeg(3, 2)
    start_from(whole, weights=path)
    start_from(encoder, encoder_weights=path)
    assert same(whole, source)
    assert same(encoder.encoder, source.encoder) and not same(encoder.bridge, source.bridge)


def test_what_a_model_is_and_that_nothing_is_known_of_it_is_told(saved, caplog):
    path = saved[1]
    with caplog.at_level("INFO", logger="qtseg"):
        load_trained(QTSeg(3, 2), path)
        start_from(QTSeg(3, 2), weights=path)
    (told,) = caplog.messages  # of the start alone
    assert told.startswith(f"start:    {path}; its images are not on record")
    caplog.clear()
    parts = enumerate(("train", "train", "test"))
    images = {str(i): {"part": part, "group": "g", "digest": str(i)} for i, part in parts}
    settings = {**PUBLISHED, "images": images, "sha256": file_digest(path)}
    path.with_suffix(".json").write_text(json.dumps(settings))
    with caplog.at_level("INFO", logger="qtseg"):
        load_trained(QTSeg(3, 2), path)
        start_from(QTSeg(3, 2), weights=path)
    published = ", ".join(option.words(option.default) for option in OPTIONS.values() if option.default)
    assert published.startswith("norm batch")
    assert f"model:    {path} (qtseg with {published}, 512 x 512, trained on 2 images)" in caplog.text
    assert caplog.messages[-1] == f"start:    {path} (qtseg with {published}, 512 x 512, trained on 2 images)"


def test_both_at_once_are_refused(saved):
    with pytest.raises(InputError, match="both set"):
        start_from(QTSeg(3, 2), weights=saved[1], encoder_weights=saved[1])


def test_a_trained_model_loads_whole_or_not_at_all(saved, tmp_path):
    source, path = saved
    network = QTSeg(3, 2)
    load_trained(network, path)
    assert same(network, source)
    with pytest.raises(InputError, match="for 2 classes and the network has 3; set --out_channels 2"):
        load_trained(QTSeg(3, 3), path)
    with pytest.raises(InputError, match="train a model first"):
        load_trained(network, tmp_path / "nowhere.pt")


@pytest.mark.parametrize("trained, here, cure", [
    ("unet", "qtseg", r"add configs/networks/unet.json in --config_file"),
    ("qtseg", "unet", r"leave out configs/networks/unet.json in --config_file"),
    ("segresnet", "unet", r"exchange the overlay for configs/networks/segresnet.json in"),
])
def test_a_model_of_another_network_is_named_with_the_overlay_to_use(trained, here, cure, tmp_path):
    network = torch.nn.Conv2d(1, 2, 3)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    settings = {**PUBLISHED, "network_name": trained, "sha256": file_digest(tmp_path / "model.pt")}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=f"model.pt is a model of {trained}, not of {here}; {cure}"):
        load_trained(network, tmp_path / "model.pt", here)
    other = torch.nn.Conv2d(1, 2, 3)
    load_trained(other, tmp_path / "model.pt", trained)
    assert torch.equal(other.weight, network.weight)
