# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.networks.bridge import MLFD, NoBridge


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
        (lambda: MLFD([4, 8]), "3 widths.*got 2"),
        (lambda: MLFD([4, 6, 8]), "multiple of 4.*got 6; use 8"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@torch.no_grad()
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_every_level_hears_of_the_other_two(changed):
    torch.manual_seed(0)
    bridge = MLFD([8, 16, 32]).eval()
    maps = [torch.rand(1, 8, 8, 12), torch.rand(1, 16, 4, 6), torch.rand(1, 32, 2, 3)]
    before = bridge(tuple(maps))
    maps[changed] = maps[changed] + 1
    for level, (old, new) in enumerate(zip(before, bridge(tuple(maps)))):
        half, quarter = old.shape[1] // 2, old.shape[1] // 4
        widths = [half if source == level else quarter for source in range(3)]
        is_changed = [not torch.equal(a, b) for a, b in zip(old.split(widths, 1), new.split(widths, 1))]
        assert is_changed == [source == changed for source in range(3)]
