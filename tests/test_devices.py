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

"""Tensors meet on one device, wherever the network is; "meta" stands for any that is not the CPU."""

from __future__ import annotations

import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

from scripts.cleaning import NO_CLEANING
from workflows import CONFIGS


def test_an_evaluation_has_labels_where_predictions_are():
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in ("train", "evaluate")])
    parser.update({"device": "$torch.device('meta')", "out_channels": 2, "cleaning": NO_CLEANING})
    on_device, on_cpu = torch.zeros(2, 32, 64, device="meta"), torch.zeros(1, 20, 40)
    outputs = {"pred": on_device, "label": on_device[:1], "label_as_read": on_cpu}
    transforms = parser.get_parsed_content("as_the_network_sees") + parser.get_parsed_content("as_it_was")
    outputs = Compose(transforms)(outputs)
    assert outputs["original_label"].shape == (2, 20, 40)
    for key in ("pred", "original_label", "fitted_pred", "label"):  # metrics compare the first two, and the others
        assert outputs[key].device.type == "meta", key
