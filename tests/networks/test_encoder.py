# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.networks.encoder import FPNEncoder


@torch.no_grad()
@pytest.mark.parametrize("features", [4, 6])
def test_maps_are_2_to_32_times_smaller_and_wider_the_smaller_they_are(features):
    encoder = FPNEncoder(1, features=features).eval()
    fine, maps = encoder(torch.zeros(2, 1, 64, 96))
    widths = {2: 1, 4: 2, 8: 4, 16: 8, 32: 16}  # by what the sides are divided by
    expected = [(2, width * features, 64 // stride, 96 // stride) for stride, width in widths.items()]
    assert [tuple(features.shape) for features in (*fine, *maps)] == expected
    assert (*encoder.fine_channels, *encoder.out_channels) == tuple(shape[1] for shape in expected)


@torch.no_grad()
def test_every_map_hears_of_the_coarsest():
    torch.manual_seed(0)
    encoder, image = FPNEncoder(3, features=4).eval(), torch.rand(1, 3, 64, 64)
    _, before = encoder(image)
    encoder.p5[2].merge.norm.bias.add_(1)
    fine_after, after = encoder(image)
    assert all(not torch.equal(a, b) for a, b in zip(before, after))
    assert all(torch.equal(a, b) for a, b in zip(fine_after, encoder(image)[0]))


@pytest.mark.parametrize("setting", ["in_channels", "features"])
def test_bad_settings(setting):
    with pytest.raises(ValueError, match=f"{setting} must be at least 1: got 0"):
        FPNEncoder(**{"in_channels": 3, "features": 4, setting: 0})
