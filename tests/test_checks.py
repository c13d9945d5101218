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
from monai.data import CacheDataset
from monai.transforms import Lambda

from scripts.checks import check_files, check_knobs, image_size, switch
from scripts.errors import InputError

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
    "amp": False,
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
    assert switch(amp=given) is on


@pytest.mark.parametrize("given", ["yes", 1, None])
def test_bad_switch(given):
    with pytest.raises(InputError, match=f"amp is {given!r}; it must be true or false"):
        switch(amp=given)


def test_good_knobs_pass():
    check_knobs(KNOBS)


@pytest.mark.parametrize(
    "knob, value, message",
    [
        ("spatial_size", 100, "divisible by 32"),
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
    ],
)
def test_bad_knobs_are_named(knob, value, message):
    with pytest.raises(InputError, match=message):
        check_knobs({**KNOBS, knob: value})


def test_mixed_precision_without_cuda_is_refused_rather_than_ignored(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        check_knobs({**KNOBS, "amp": True})


def test_files_outside_the_cache_are_read_once_before_training():
    read = []

    def load(item: int) -> int:
        read.append(item)
        return item

    dataset = CacheDataset(list(range(6)), transform=[Lambda(load)], cache_num=2, progress=False, num_workers=None)
    assert sorted(read) == [0, 1]
    check_files(dataset, [Lambda(load)])
    assert sorted(read) == [0, 1, 2, 3, 4, 5]
