# SPDX-License-Identifier: Apache-2.0

"""Where a feature is, told to the attention as random Fourier features."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .blocks import check_at_least, check_even

__all__ = ["FourierPositions", "at_least_float32"]

# Shapes: B batch, C channels, H x W feature map.


class FourierPositions(nn.Module):
    """Random Fourier features of the pixel centers: where a feature is, not what it is.

    The random frequencies belong to the trained network, so they are saved with it.

    Args:
        channels: width C of the positions; must be even, one half is sines and one cosines.

    Raises:
        ValueError: if ``channels`` is odd or below 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        check_even(channels=channels)
        self.frequencies = nn.Buffer(torch.randn(2, channels // 2))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FourierPositions:
        """Move as any module, but keep the frequencies out of half precision: a phase is many turns."""
        kept = self.frequencies
        super()._apply(fn, recurse)
        if at_least_float32(self.frequencies.dtype) != self.frequencies.dtype:
            self.frequencies = nn.Buffer(kept.to(self.frequencies.device))
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Encode the positions of a map (B, C, H, W); returns (1, H*W, C) in its dtype."""
        height, width = features.shape[-2:]
        frequencies = self.frequencies
        # Sums of products rather than a matrix product, which autocast would round to half precision.
        x = _centers(width, frequencies).unsqueeze(-1) * frequencies[0]  # WxC/2
        y = _centers(height, frequencies).unsqueeze(-1) * frequencies[1]  # HxC/2
        phase = (y.unsqueeze(1) + x.unsqueeze(0)).flatten(0, 1)  # HxWxC/2 -> HWxC/2
        return torch.cat([phase.sin(), phase.cos()], dim=-1).unsqueeze(0).to(features.dtype)


def _centers(size: int, like: Tensor) -> Tensor:
    """Centers of ``size`` pixels, spread over (-2 pi, 2 pi)."""
    steps = torch.arange(size, device=like.device, dtype=like.dtype)
    return 2 * math.pi * (2 * (steps + 0.5) / size - 1)


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The type to compute in where half precision is not enough."""
    return torch.float64 if dtype == torch.float64 else torch.float32
