# SPDX-License-Identifier: Apache-2.0

"""Test-time augmentation averages what a network finds."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from scripts.common.errors import InputError
from scripts.inference.tta import AugmentedInferer


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 2, 3, padding=1)


def test_without_augmentation_scores_are_the_networks(network):
    image = torch.rand(1, 3, 32, 64)
    assert torch.equal(AugmentedInferer(SimpleInferer(), None)(image, network), network(image))


def test_flips_are_undone(network):
    image = torch.rand(2, 3, 32, 64)
    mean = AugmentedInferer(SimpleInferer(), "flips")(image, network).softmax(1)
    flips = [network(image.flip(axes)).softmax(1).flip(axes) for axes in ((), (2,), (3,), (2, 3))]
    torch.testing.assert_close(mean, torch.stack(flips).mean(0))


@pytest.mark.parametrize("tta", ["flips", "flips_and_scales"])
def test_what_is_the_same_in_every_way_stays(tta):
    def pointwise(image: Tensor) -> Tensor:
        assert all(side % 32 == 0 for side in image.shape[2:])
        return torch.cat([image, 1 - image], dim=1)

    image = torch.full((1, 1, 64, 96), 0.3)
    image[..., 48:] = 0.9
    found = AugmentedInferer(SimpleInferer(), tta)(image, pointwise).softmax(1)
    expected = pointwise(image).softmax(1)
    away = torch.ones(96, dtype=torch.bool)
    away[40:56] = False  # from the step, which scaling blurs
    torch.testing.assert_close(found[..., away], expected[..., away], atol=0.01, rtol=0)


def test_other_ways_are_refused():
    with pytest.raises(InputError, match="tta is 'turns'; use one of 'flips', 'flips_and_scales', or leave it out"):
        AugmentedInferer(SimpleInferer(), "turns")
