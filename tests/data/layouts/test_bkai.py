# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.registry import read_layout
from trees import overlay, photo, read, stem


@pytest.fixture
def bkai(tmp_path) -> Path:
    """Masks in red and green, smeared by JPEG."""
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[8:24, 8:24, 0] = 255
    colors[32:56, 32:56, 1] = 255
    for name, mask in (("b", colors), ("a", np.zeros_like(colors))):
        images.save(tmp_path / "train" / "train" / f"{name}.jpeg", np.full((64, 64, 3), 120, np.uint8), quality=90)
        images.save(tmp_path / "train_gt" / "train_gt" / f"{name}.jpeg", mask, quality=80)
    images.save(tmp_path / "test" / "test" / "c.jpeg", photo())
    return tmp_path


@pytest.mark.parametrize("num_classes", [2, 3])
def test_bkai_classes_by_color(bkai, num_classes):
    items = read_layout("bkai", bkai)
    assert [stem(item) for item in items] == ["a", "b"]  # those of test have no masks
    colors = overlay("bkai")["label_colors"]
    stored = np.asarray(images.opened(items[1]["label"])).reshape(-1, 3)
    assert len(np.unique(stored, axis=0)) > 10  # smeared
    expected = np.zeros((64, 64), np.uint8)
    expected[8:24, 8:24] = 1
    expected[32:56, 32:56] = num_classes - 1
    np.testing.assert_array_equal(read(items[1], num_classes, colors=colors)[1], expected)
    assert not read(items[0], num_classes, colors=colors)[1].any()


def test_wrong_layouts_of_bkai(bkai):
    (bkai / "train" / "train" / "b.jpeg").unlink()
    with pytest.raises(InputError, match="1 file.s. in .*train_gt have no image of the same name in .*train: b.jpeg"):
        read_layout("bkai", bkai)
    with pytest.raises(InputError, match=r"has no folder train/; expected is\n  <dataset_dir>/train/train/<id>.jpeg"):
        read_layout("bkai", bkai / "test")


def test_bkai_without_the_folders_of_the_archive(bkai):
    nested = read_layout("bkai", bkai)
    for name in ("train", "train_gt"):
        (bkai / name / name).rename(bkai / "inner")
        (bkai / name).rmdir()
        (bkai / "inner").rename(bkai / name)
    flat = read_layout("bkai", bkai)
    assert [stem(item) for item in flat] == [stem(item) for item in nested] == ["a", "b"]
    assert flat[0]["label"] == str(bkai / "train_gt" / "a.jpeg")
