# SPDX-License-Identifier: Apache-2.0

"""A broken image does not stop the others."""

from __future__ import annotations

import numpy as np
import pytest
from monai.transforms import Compose, LoadImaged
from PIL import Image

from scripts.image_io.readers import ImageFileReader
from scripts.inference.tolerant_dataset import TolerantDataset


@pytest.fixture
def data(tmp_path) -> list[dict[str, str]]:
    Image.fromarray(np.full((5, 7), 9, np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    return [{"image": str(tmp_path / name), "mask": name} for name in ("bad.png", "good.png")]


def load(**options):
    return LoadImaged("image", reader=ImageFileReader(), dtype=None, ensure_channel_first=True, **options)


def test_what_cannot_be_read_is_told_and_stood_in_for(data):
    bad, good = TolerantDataset(data, Compose([load()]))
    assert good["image"].shape == (3, 5, 7) and good["problem"] == "" and good["source"].endswith("good.png")
    assert not bad["image"].any() and "bad.png is not a PNG, JPEG" in bad["problem"]
    assert bad["source"].endswith("bad.png") and bad["mask"] == "bad.png"


def test_other_errors_are_not_hidden(data):
    def fails(item):
        raise KeyError("a fault of the program")

    with pytest.raises(RuntimeError, match="applying transform"):
        TolerantDataset(data, fails)[1]
