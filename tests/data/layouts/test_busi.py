# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.registry import read_layout
from trees import LEFT, RIGHT, photo, read, stem, white


@pytest.fixture
def busi(tmp_path) -> Path:
    for kind in ("benign", "malignant", "normal"):
        for number in (1, 2, 10):
            images.save(tmp_path / kind / f"{kind} ({number}).png", photo(number))
    rgba = np.dstack([white(LEFT)] * 3 + [np.full((16, 24), 255, np.uint8)])
    images.save(tmp_path / "benign" / "benign (1)_mask.png", white(LEFT), "1")
    images.save(tmp_path / "benign" / "benign (1)_mask_1.png", white(RIGHT), "L")
    images.save(tmp_path / "benign" / "benign (2)_mask.png", white(LEFT), "RGB")
    images.save(tmp_path / "benign" / "benign (10)_mask.png", rgba)
    for number in (1, 2, 10):
        images.save(tmp_path / "malignant" / f"malignant ({number})_mask.png", white(RIGHT), "1")
        images.save(tmp_path / "normal" / f"normal ({number})_mask.png", white(np.zeros((16, 24))), "L")
    return tmp_path


def test_busi_mask_parts_of_all_modes(busi):
    items = read_layout("busi", busi)
    assert [stem(item) for item in items] == [
        *("benign (1)", "benign (10)", "benign (2)"),
        *("malignant (1)", "malignant (10)", "malignant (2)"),
    ]
    assert [item["stratum"] for item in items] == ["benign"] * 3 + ["malignant"] * 3
    for item, mask in zip(items, (LEFT | RIGHT, LEFT, LEFT, RIGHT, RIGHT, RIGHT)):
        np.testing.assert_array_equal(read(item)[1], mask, err_msg=stem(item))
    np.testing.assert_array_equal(read(items[1])[0], photo(10))


def test_busi_normal_images_on_request(busi):
    items = read_layout("busi_with_normal", busi)
    assert len(items) == 9 and not any(read(item)[1].any() for item in items[6:])


def test_wrong_layouts_of_busi(busi):
    (busi / "benign" / "benign (2)_mask.png").unlink()
    with pytest.raises(InputError, match=r"benign \(2\).png has no mask benign \(2\)_mask.png beside it; add it"):
        read_layout("busi", busi)
    (busi / "benign" / "benign (2).png").rename(busi / "benign" / "benign (2)_mask.png")
    with pytest.raises(InputError, match=r"benign \(2\)_mask.png has no image benign \(2\).png beside it; add it"):
        read_layout("busi", busi)
    outer = busi / "outer"
    (outer / "Dataset_BUSI_with_GT").mkdir(parents=True)
    with pytest.raises(InputError, match="outer holds the dataset; give .*outer/Dataset_BUSI_with_GT as --dataset_dir"):
        read_layout("busi", outer)
    with pytest.raises(InputError, match=r"has no folder malignant/; expected is\n  <dataset_dir>/benign/benign"):
        (busi / "malignant").rename(busi / "bad")
        (busi / "benign" / "benign (2)_mask.png").unlink()
        read_layout("busi", busi)
