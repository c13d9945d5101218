# SPDX-License-Identifier: Apache-2.0

"""The encoder of QTSeg, which computes three feature maps from an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import SPPF, C2f, ConvNormAct, check_at_least

__all__ = ["FPNEncoder"]

# Shapes: B batch size, C channels, H x W image in pixels, n base width (``features``).


class FPNEncoder(nn.Module):
    """Feature pyramid encoder: the YOLOv8-nano backbone with its path-aggregation neck (paper, section "Encoder").

    The backbone computes maps from fine to coarse (P3, P4, P5). The neck first passes coarse features to the finer maps
    (N4, S0), then fine features back to the coarser maps (S1, S2).

    Args:
        in_channels: channels of the image.
        features: base width n. The three output maps have 4n, 8n and 16n channels (``out_channels``), and the two finer
            maps that the stem computes first have n and 2n (``fine_channels``).

    Raises:
        ValueError: if ``in_channels`` or ``features`` is below 1.

    Example::

        encoder = FPNEncoder(in_channels=3)
        (half, quarter), (s0, s1, s2) = encoder(torch.zeros(1, 3, 64, 96))
        assert half.shape == (1, 16, 32, 48) and s0.shape == (1, 64, 8, 12)
    """

    def __init__(self, in_channels: int, *, features: int = 16) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, features=features)
        n = features
        self.out_channels = (4 * n, 8 * n, 16 * n)
        self.fine_channels = (n, 2 * n)

        self.stem = nn.Sequential(
            ConvNormAct(in_channels, n, kernel_size=3, stride=2),
            ConvNormAct(n, 2 * n, kernel_size=3, stride=2),
            C2f(2 * n, 2 * n, depth=1, shortcut=True),
        )
        self.p3 = nn.Sequential(
            ConvNormAct(2 * n, 4 * n, kernel_size=3, stride=2),
            C2f(4 * n, 4 * n, depth=2, shortcut=True),
        )
        self.p4 = nn.Sequential(
            ConvNormAct(4 * n, 8 * n, kernel_size=3, stride=2),
            C2f(8 * n, 8 * n, depth=2, shortcut=True),
        )
        self.p5 = nn.Sequential(
            ConvNormAct(8 * n, 16 * n, kernel_size=3, stride=2),
            C2f(16 * n, 16 * n, depth=1, shortcut=True),
            SPPF(16 * n),
        )

        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.n4 = C2f(16 * n + 8 * n, 8 * n, depth=1, shortcut=False)
        self.s0 = C2f(8 * n + 4 * n, 4 * n, depth=1, shortcut=False)
        self.s0_down = ConvNormAct(4 * n, 4 * n, kernel_size=3, stride=2)
        self.s1 = C2f(4 * n + 8 * n, 8 * n, depth=1, shortcut=False)
        self.s1_down = ConvNormAct(8 * n, 8 * n, kernel_size=3, stride=2)
        self.s2 = C2f(8 * n + 16 * n, 16 * n, depth=1, shortcut=False)

    def forward(self, image: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Encode an image.

        Args:
            image: (B, in_channels, H, W); H and W must be divisible by 32.

        Returns:
            First the two finer maps, (B, n, H/2, W/2) and (B, 2n, H/4, W/4). Then the three output maps:
            S0 (B, 4n, H/8, W/8), S1 (B, 8n, H/16, W/16) and S2 (B, 16n, H/32, W/32).
        """
        half = self.stem[0](image)
        quarter = self.stem[2](self.stem[1](half))
        p3 = self.p3(quarter)
        p4 = self.p4(p3)
        p5 = self.p5(p4)

        n4 = self.n4(torch.cat([self.upsample(p5), p4], dim=1))
        s0 = self.s0(torch.cat([self.upsample(n4), p3], dim=1))
        s1 = self.s1(torch.cat([self.s0_down(s0), n4], dim=1))
        s2 = self.s2(torch.cat([self.s1_down(s1), p5], dim=1))
        return (half, quarter), (s0, s1, s2)
