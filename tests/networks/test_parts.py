# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.networks.blocks import SPPF, Bottleneck, C2f, ConvNormAct, ConvTransposeNormAct, use_group_norm
from scripts.networks.bridge import MLFD, NoBridge
from scripts.networks.decoder import MaskDecoder
from scripts.networks.encoder import FPNEncoder
from scripts.networks.upsampling import to_map, to_parts


def test_a_shortcut_adds_the_input():
    torch.manual_seed(0)
    with_shortcut, without = Bottleneck(4, True).eval(), Bottleneck(4, False).eval()
    without.load_state_dict(with_shortcut.state_dict())
    x = torch.randn(1, 4, 5, 7)
    torch.testing.assert_close(with_shortcut(x), without(x) + x)


@pytest.mark.parametrize(
    "block, shape",
    [
        (C2f(3, 8, 2, True), (1, 8, 6, 10)),
        (SPPF(3 + 1), None),
        (ConvNormAct(3, 5, kernel_size=3, stride=2), (1, 5, 3, 5)),
        (ConvNormAct(3, 5, kernel_size=3, stride=4), (1, 5, 2, 3)),
        (ConvTransposeNormAct(3, 5, scale=4), (1, 5, 24, 40)),
    ],
)
def test_shapes_of_blocks(block, shape):
    channels = 4 if shape is None else 3
    assert block.eval()(torch.zeros(1, channels, 6, 10)).shape == (shape or (1, 4, 6, 10))


def test_batch_normalization_is_pytorchs_not_yolos():
    norm = ConvNormAct(1, 1).norm
    assert (norm.eps, norm.momentum) == (1e-5, 0.1)


def test_groups_are_of_8_channels_of_one_image():
    blocks = torch.nn.Sequential(ConvNormAct(3, 24), ConvTransposeNormAct(24, 12, scale=2))
    use_group_norm(blocks)
    assert [block.norm.num_groups for block in blocks] == [3, 1]
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(blocks(x)[:1], blocks(x[:1]))  # whatever else is in the batch


@pytest.mark.parametrize("twice", [False, True])
def test_parts_are_laid_out_as_a_map_again(twice):
    side = 4 if twice else 2
    x = torch.rand(2, 3, 5 * side, 7 * side)
    parts = to_parts(x, twice=twice)
    assert parts.shape == (2, 35, *([4] * (1 + twice)), 3)
    assert torch.equal(to_map(parts, torch.zeros(2, 1, 5, 7)), x)


def test_bridge_deals_out_half_and_quarters():
    bridge = MLFD([8, 16, 32]).eval()
    maps = (torch.zeros(1, 8, 8, 12), torch.zeros(1, 16, 4, 6), torch.zeros(1, 32, 2, 3))
    assert [m.shape for m in bridge(maps)] == [m.shape for m in maps]
    for mix, widths in ((bridge.sf0, [4, 2, 2]), (bridge.sf1, [4, 8, 4]), (bridge.sf2, [8, 8, 16])):
        assert [piece.norm.num_features for piece in (mix.from_s0, mix.from_s1, mix.from_s2)] == widths


def test_without_a_bridge_the_maps_pass():
    maps = tuple(torch.rand(1, c, 2, 2) for c in (1, 2, 3))
    assert all(a is b for a, b in zip(NoBridge()(maps), maps))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: C2f(4, 5, 1, True), "multiple of 2.*got 5; use 6"),
        (lambda: C2f(4, 4, 0, True), "depth must be at least 1: got 0"),
        (lambda: SPPF(3), "multiple of 2.*got 3; use 4"),
        (lambda: ConvNormAct(4, 4, stride=0), "stride must be at least 1: got 0"),
        (lambda: ConvTransposeNormAct(4, 4, 0), "scale must be at least 1: got 0"),
        (lambda: FPNEncoder(0), "in_channels must be at least 1: got 0"),
        (lambda: MLFD([4, 8]), "3 widths.*got 2"),
        (lambda: MLFD([4, 6, 8]), "multiple of 4.*got 6; use 8"),
        (lambda: MaskDecoder([4, 8], 2), "3 widths.*got 2"),
        (lambda: MaskDecoder([64, 128, 256], 2, fine_channels=(16,)), "2 widths, at 1/2 and 1/4, or none: got .16,"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()
