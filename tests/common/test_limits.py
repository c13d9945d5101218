# SPDX-License-Identifier: Apache-2.0

"""The limits are the same wherever they are named."""

from __future__ import annotations

import inspect
import json

import pytest

from scripts.common.limits import MOST_PIXELS
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from workflows import CONFIGS


def test_configs_have_the_limit_of_pixels_as_their_default():
    defaults = {path.stem: json.loads(path.read_text()).get("max_pixels") for path in CONFIGS.rglob("*.json")}
    assert {name: value for name, value in defaults.items() if value is not None} == {
        "train": MOST_PIXELS,
        "inference": MOST_PIXELS,
    }


@pytest.mark.parametrize("reader", [ImageFileReader, MaskFileReader])
def test_readers_have_the_limit_of_pixels_as_their_default(reader):
    assert inspect.signature(reader).parameters["max_pixels"].default == MOST_PIXELS == 200_000_000
