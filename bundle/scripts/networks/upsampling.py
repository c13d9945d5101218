# SPDX-License-Identifier: Apache-2.0

"""Upsampling in the decoder: each pixel becomes four, which are stored side by side until a map is needed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Upsample", "to_map", "to_parts"]

# Shapes: B batch size, C channels, H x W feature map in pixels.


class Upsample(nn.Module):
    """Double height and width of a map: transposed convolution, layer normalization over channels, GELU.

    A 2x2 transposed convolution with stride 2 computes four pixels from each pixel alone, so it is a linear layer.
    None of these layers uses neighboring pixels. The four therefore stay side by side until ``to_map`` arranges them.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.norm = nn.LayerNorm(out_channels, eps=1e-6)

    def forward(self, x: Tensor, detail: Tensor | None = None) -> Tensor:
        """Upsample each pixel to four parts, in the order of rows.

        Args:
            x: pixels (B, ..., in_channels).
            detail: (B, ..., 4, out_channels), added to the parts before they are normalized; None adds nothing.

        Returns:
            Parts (B, ..., 4, out_channels).
        """
        bias = self.conv.bias
        assert bias is not None  # ConvTranspose2d has a bias by default
        weight = self.conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # CxOx2x2 -> 4OxC
        parts = F.linear(x, weight, bias.repeat(4)).unflatten(-1, (4, -1))
        if detail is not None:
            parts = parts + detail
        return F.gelu(self.norm(parts))


def to_map(sequence: Tensor, like: Tensor) -> Tensor:
    """Arrange pixels as a map, also pixels that were split in four once or several times.

    Args:
        sequence: (B, H*W, C), or (B, H*W, 4, ..., 4, C) with k fours.
        like: a map (B, any, H, W), which gives H and W.

    Returns:
        Map (B, C, H*2^k, W*2^k), channels last in memory.
    """
    height, width = like.shape[-2], like.shape[-1]
    for _ in range(sequence.dim() - 3):
        parts = sequence.unflatten(1, (height, width)).unflatten(3, (2, 2))  # BxHxWx2x2x...
        sequence = parts.transpose(2, 3).flatten(1, 4)  # Bx2Hx2Wx... -> Bx4HWx...
        height, width = 2 * height, 2 * width
    return sequence.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def to_parts(x: Tensor, twice: bool = False) -> Tensor:
    """Do the opposite of ``to_map``: store the four parts of each pixel of a smaller map side by side.

    Args:
        x: a map (B, C, 2H, 2W), or (B, C, 4H, 4W) if ``twice``.
        twice: split each pixel in four, and those in four again.

    Returns:
        Parts (B, H*W, 4, C), or (B, H*W, 4, 4, C) if ``twice``.
    """
    x = x.permute(0, 2, 3, 1)
    if not twice:
        return x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
    x = x.unflatten(2, (-1, 2, 2)).unflatten(1, (-1, 2, 2))  # BxHx2x2xWx2x2xC
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)
