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

import pytest
import torch

from scripts.errors import InputError
from scripts.networks.qtseg import QTSeg
from scripts.weights import load_trained, start_from


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
