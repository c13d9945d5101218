# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Padd, SpatialPadd

from scripts.transforms.intensity import MinMaxd
from scripts.transforms.spatial import Fit, Fitd, PadInPlane


def ramp(height: int, width: int, channels: int = 1) -> torch.Tensor:
    """A smooth 8-bit image, brighter to the right and to the bottom."""
    rows, columns = torch.linspace(0, 100, height), torch.linspace(0, 155, width)
    return (rows[:, None] + columns[None]).round().to(torch.uint8).expand(channels, -1, -1).clone()


@pytest.mark.parametrize(
    "size, target, fitted",
    [
        ((100, 200), (64, 64), (32, 64)),
        ((200, 100), (64, 64), (64, 32)),
        ((64, 64), (64, 64), (64, 64)),
        ((30, 20), (64, 64), (64, 43)),
        ((100, 200), (64, 96), (48, 96)),
        ((1000, 3), (32, 32), (32, 1)),
    ],
)
def test_fit_keeps_the_aspect_ratio(size, target, fitted):
    image = MetaTensor(ramp(*size, channels=3))
    result = Fit(target)(image)
    assert result.shape == (3, *fitted)
    assert result.dtype == torch.uint8


def test_fit_averages_areas_and_rounds():
    image = MetaTensor(torch.tensor([[[0, 1], [1, 1]], [[10, 10], [10, 13]]], dtype=torch.uint8))
    assert Fit(1)(image).flatten().tolist() == [1, 11]  # 0.75 and 10.75


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_fit_enlarges_smoothly(dtype):
    image = ramp(16, 24, channels=3).to(dtype)
    expected = F.interpolate(image[None].float(), (64, 96), mode="bilinear", align_corners=False)[0]
    result = Fit((64, 96))(MetaTensor(image))
    assert result.dtype == dtype
    torch.testing.assert_close(result.as_tensor().float(), expected, atol=1 if dtype == torch.uint8 else 1e-4, rtol=0)


def test_fit_takes_no_new_label_ids():
    generator = torch.Generator().manual_seed(0)
    ids = MetaTensor(torch.randint(0, 2, (1, 90, 70), generator=generator, dtype=torch.uint8) * 7)
    assert set(Fit((32, 32), mode="nearest")(ids).unique().tolist()) == {0, 7}


def test_fit_leaves_float_images_unrounded():
    image = MetaTensor(torch.rand(1, 10, 10))
    result = Fit(5)(image)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.mean().item(), image.mean().item())


@pytest.mark.parametrize("size", [(100, 180), (180, 100), (40, 25), (64, 64)])
def test_inverse_returns_to_the_original_size_and_place(size):
    data = {"image": MetaTensor(ramp(*size))}
    fit = Compose([Fitd("image", (64, 64)), SpatialPadd("image", (64, 64), method="end")])
    fitted = fit(data)
    assert fitted["image"].shape == (1, 64, 64)
    fitted["pred"] = MetaTensor(fitted["image"].float())
    inverted = Invertd("pred", transform=fit, orig_keys="image", nearest_interp=False)(fitted)["pred"]
    assert inverted.shape == (1, *size)
    assert (inverted - data["image"].float()).abs().max() < 12  # of 255: no flip, no shift, no transposition


def test_inverse_enlarges_smoothly():
    data = {"image": MetaTensor(ramp(256, 256))}
    fit = Compose([Fitd("image", (32, 32))])
    fitted = fit(data)
    fitted["pred"] = fitted["image"].float()
    inverted = Invertd("pred", transform=fit, orig_keys="image", nearest_interp=False)(fitted)["pred"]
    inner = inverted[0, 128, 8:-8]
    assert len(inner.unique()) > 200  # area interpolation would give 30 steps


@pytest.mark.parametrize("size", [(60, 40), (20, 30)])
def test_slices_of_a_volume_are_treated_as_images(size):
    torch.manual_seed(0)
    volume = MetaTensor(torch.randint(0, 256, (3, *size, 4), dtype=torch.uint8))
    transform = Compose(
        [Fitd("image", (32, 64)), Padd("image", padder=PadInPlane((32, 64))), MinMaxd("image")], log_stats=False
    )
    back = Invertd("image", transform=transform, orig_keys="image", nearest_interp=False)
    whole = transform({"image": volume})
    assert whole["image"].shape == (3, 32, 64, 4)
    returned = back(dict(whole))["image"]
    assert returned.shape == volume.shape
    for k in range(4):
        single = transform({"image": MetaTensor(volume[..., k].as_tensor().clone())})
        torch.testing.assert_close(whole["image"][..., k].as_tensor(), single["image"].as_tensor(), rtol=0, atol=0.01)
        expected = back(dict(single))["image"].as_tensor()
        torch.testing.assert_close(returned[..., k].as_tensor(), expected, rtol=0, atol=0.01)
