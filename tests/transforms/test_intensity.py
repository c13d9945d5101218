# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.transforms.intensity import FullScale, MinMax, MinMaxd, Stretchd


def ramp(height: int, width: int, channels: int = 1) -> torch.Tensor:
    """A smooth 8-bit image, brighter to the right and to the bottom."""
    rows, columns = torch.linspace(0, 100, height), torch.linspace(0, 155, width)
    return (rows[:, None] + columns[None]).round().to(torch.uint8).expand(channels, -1, -1).clone()


def test_min_max_spans_minus_one_to_one():
    scaled = MinMax()(ramp(20, 30, channels=3))
    assert scaled.dtype == torch.float32
    assert scaled.min() == -1 and scaled.max() == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_min_max_leaves_its_input_alone(dtype):
    image = ramp(20, 30).to(dtype)
    before = image.clone()
    MinMax()(image)
    assert torch.equal(image, before)


def test_min_max_takes_the_channels_together():
    image = torch.stack([torch.full((4, 4), 0.0), torch.full((4, 4), 50.0), torch.full((4, 4), 200.0)])
    assert MinMax()(image)[:, 0, 0].tolist() == [-1.0, -0.5, 1.0]


@pytest.mark.parametrize("value", [0, 17, 255])
def test_min_max_of_a_constant_image_is_minus_one(value):
    assert (MinMax()(torch.full((3, 4, 4), value, dtype=torch.uint8)) == -1).all()


def test_min_max_dictionary_touches_its_keys_only():
    data = {"image": ramp(8, 8), "label": ramp(8, 8)}
    scaled = MinMaxd("image")(data)
    assert scaled["image"].max() == 1 and scaled["label"] is data["label"]


def test_a_whole_image_is_stretched():
    image = torch.tensor([[[10, 20], [30, 50]]], dtype=torch.uint8)
    for each in (image, image.float() * 100):
        stretched = Stretchd("image")({"image": each})["image"]
        assert stretched.dtype == (torch.uint8 if each is image else torch.float32)
        torch.testing.assert_close(stretched.float(), torch.tensor([[[0.0, 64], [128, 255]]]), rtol=0, atol=0.51)
    assert not Stretchd("image")({"image": torch.full((3, 4, 4), 7, dtype=torch.uint8)})["image"].any()
    assert FullScale()(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


def test_each_slice_of_a_volume_is_stretched_by_itself():
    volume = torch.randint(0, 256, (3, 70, 50, 5), dtype=torch.uint8) // 2
    stretched = Stretchd("image")({"image": volume})["image"]
    assert stretched.shape == volume.shape
    for k in range(5):
        assert torch.equal(stretched[..., k], Stretchd("image")({"image": volume[..., k]})["image"])


def test_each_slice_of_a_volume_and_each_image_of_a_batch_is_scaled_by_itself():
    volume = torch.stack([torch.full((2, 3, 4), 10.0), torch.arange(24.0).reshape(2, 3, 4)], dim=-1)
    scaled = MinMaxd("image")({"image": volume})["image"]
    assert (scaled[..., 0] == -1).all()
    torch.testing.assert_close(scaled[..., 1], torch.linspace(-1, 1, 24).reshape(2, 3, 4))
    torch.testing.assert_close(MinMax()(volume.movedim(-1, 0)), scaled.movedim(-1, 0))


def test_full_scale_copies_float_images():
    image = torch.tensor([0.0, 127.5, 255.0])
    assert FullScale()(image).tolist() == [-1, 0, 1] and image.tolist() == [0.0, 127.5, 255.0]
