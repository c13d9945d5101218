# SPDX-License-Identifier: Apache-2.0

"""The bridge of QTSeg, which mixes the encoder's maps before the decoder reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import ConvNormAct, ConvTransposeNormAct

__all__ = ["MLFD", "LevelMix", "NoBridge"]

# Shapes: B batch size, C channels. Maps are ordered from fine to coarse: S0, S1 and S2 have 1/8, 1/16 and 1/32 of the
# image's height and width.


class MLFD(nn.Module):
    """Multi-level feature distribution: mix channels of the other two maps into every map (paper, section "MLFD").

    Args:
        in_channels: widths of the three maps, from fine to coarse; multiples of 4. The outputs have the same widths.

    Raises:
        ValueError: if the number of widths is not three, or a width is not a positive multiple of 4.

    Example::

        bridge = MLFD([64, 128, 256])
        maps = bridge((torch.zeros(2, 64, 8, 8), torch.zeros(2, 128, 4, 4), torch.zeros(2, 256, 2, 2)))
        assert maps[2].shape == (2, 256, 2, 2)
    """

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        if len(in_channels) != 3:
            raise ValueError(f"in_channels must hold 3 widths, fine to coarse: got {len(in_channels)}, {in_channels}.")
        for width in in_channels:
            if width < 4 or width % 4:
                raise ValueError(
                    f"every width in in_channels must be a positive multiple of 4, so that it splits into quarters: "
                    f"got {width}; use {max(4, (width + 3) // 4 * 4)}."
                )
        self.sf0 = LevelMix(in_channels, level=0)
        self.sf1 = LevelMix(in_channels, level=1)
        self.sf2 = LevelMix(in_channels, level=2)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Mix the three maps (B, C, H, W), from fine to coarse; the shapes do not change."""
        return self.sf0(maps), self.sf1(maps), self.sf2(maps)


class LevelMix(nn.Module):
    """One level of the bridge: half of its channels come from its own map, a quarter from each of the other two.

    Args:
        in_channels: widths of the three maps, from fine to coarse.
        level: index of the level; the result has its size and width. 0 is fine, 2 is coarse.
    """

    def __init__(self, in_channels: Sequence[int], level: int) -> None:
        super().__init__()
        own, other = in_channels[level] // 2, in_channels[level] // 4
        branches = [
            _resample(width, own if source == level else other, steps=level - source)
            for source, width in enumerate(in_channels)
        ]
        self.from_s0, self.from_s1, self.from_s2 = branches

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        s0, s1, s2 = maps
        return torch.cat([self.from_s0(s0), self.from_s1(s1), self.from_s2(s2)], dim=1)


class NoBridge(nn.Module):
    """Pass the encoder's maps on unchanged: the paper's ablation "decoder without MLFD"."""

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return maps


def _resample(in_channels: int, out_channels: int, steps: int) -> nn.Module:
    """Build the layer that moves a map by ``steps`` levels: coarser if positive, finer if negative, none if 0."""
    if steps < 0:
        return ConvTransposeNormAct(in_channels, out_channels, scale=2**-steps)
    # Two levels coarser is one 3x3 kernel with stride 4, which skips 7 of 16 pixels: published weights need it.
    return ConvNormAct(in_channels, out_channels, kernel_size=3 if steps else 1, stride=2**steps)
