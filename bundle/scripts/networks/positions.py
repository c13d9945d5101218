# SPDX-License-Identifier: Apache-2.0

"""The position encoding of the attention: random Fourier features of the pixels' positions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .blocks import check_at_least, check_even

__all__ = ["FourierPositions", "at_least_float32"]

# Shapes: B batch size, C channels, H x W feature map in pixels.


class FourierPositions(nn.Module):
    """Random Fourier features of the pixel centers, which encode the position of a feature.

    The network is trained with these random frequencies, so they are saved with its weights.

    Args:
        channels: width C of the encoding; must be even. One half holds sines, the other cosines.

    Raises:
        ValueError: if ``channels`` is odd or below 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        check_even(channels=channels)
        self.frequencies = nn.Buffer(torch.randn(2, channels // 2))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FourierPositions:
        """Move or convert the module, but never convert the frequencies to half precision.

        A phase spans many full turns, which half precision is too coarse for.
        """
        original = self.frequencies
        super()._apply(fn, recurse)
        if at_least_float32(self.frequencies.dtype) != self.frequencies.dtype:
            self.frequencies = nn.Buffer(original.to(self.frequencies.device))
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Encode the positions of a feature map (B, C, H, W); returns (1, H*W, C) in the map's dtype."""
        height, width = features.shape[-2:]
        frequencies = self.frequencies
        # These are sums of products because autocast would round a matrix product to half precision.
        x = _centers(width, frequencies).unsqueeze(-1) * frequencies[0]  # WxC/2
        y = _centers(height, frequencies).unsqueeze(-1) * frequencies[1]  # HxC/2
        phase = (y.unsqueeze(1) + x.unsqueeze(0)).flatten(0, 1)  # HxWxC/2 -> HWxC/2
        return torch.cat([phase.sin(), phase.cos()], dim=-1).unsqueeze(0).to(features.dtype)


def _centers(size: int, like: Tensor) -> Tensor:
    """Return the centers of ``size`` pixels, spread over (-2 pi, 2 pi): (size,), with dtype and device of ``like``."""
    steps = torch.arange(size, device=like.device, dtype=like.dtype)
    return 2 * math.pi * (2 * (steps + 0.5) / size - 1)


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in where half precision is too coarse: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
