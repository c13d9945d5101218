# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The attention of the decoder: tokens and features see each other, features see their channels and surroundings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from monai.networks.blocks import MLPBlock
from torch import Tensor, nn

from .blocks import check_at_least, check_even

__all__ = ["DualMixAttention", "CrossAttention", "SpatialAttention", "ChannelAttention", "FourierPositions"]

# Shapes: B batch, T mask tokens, C channels, H x W feature map. Features are sequences: (B, H*W, C).


class DualMixAttention(nn.Module):
    """One block of the decoder: tokens read the features, features read the tokens (paper, "Dual Mix Attention").

    Tokens read two views of the features, one weighed by place and one mixed across channels;
    both views together then read the tokens.

    Args:
        channels: width C of tokens and features; must be even.
        num_heads: attention heads; must divide ``channels // 2``.
        mlp_dim: hidden width of the tokens' MLP.

    Raises:
        ValueError: if ``num_heads`` does not divide the attention width, or a setting is below 1.
    """

    def __init__(self, channels: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        check_at_least(1, mlp_dim=mlp_dim)
        self.spatial_attention = SpatialAttention()
        self.channel_attention = ChannelAttention()
        self.tokens_to_spatial = CrossAttention(channels, num_heads)
        self.tokens_to_channel = CrossAttention(channels, num_heads)
        self.features_to_tokens = CrossAttention(channels, num_heads)
        self.attention_norm = nn.LayerNorm(channels)
        self.mlp = MLPBlock(channels, mlp_dim)
        self.mlp_norm = nn.LayerNorm(channels)

    def forward(
        self, tokens: Tensor, features: Tensor, positions: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Run the block.

        Args:
            tokens: (B, T, C).
            features: (B, H*W, C).
            positions: (1, H*W, C).
            height: H.
            width: W.

        Returns:
            Tokens (B, T, C) and features (B, H*W, C).
        """
        placed = features + positions
        spatial = self.spatial_attention(placed, height, width)
        channel = self.channel_attention(placed)

        mixed = self.attention_norm(
            self.tokens_to_spatial(tokens, spatial, spatial) + self.tokens_to_channel(tokens, channel, channel) + tokens
        )
        query = spatial + channel + positions
        return self.mlp_norm(self.mlp(mixed)) + tokens, self.features_to_tokens(query, mixed, mixed) + features


class CrossAttention(nn.Module):
    """Multi-head attention at half the width.

    Args:
        channels: width C of query, key, value and result; must be even.
        num_heads: attention heads; must divide ``channels // 2``.

    Raises:
        ValueError: if ``channels`` is odd, a setting is below 1, or ``num_heads`` does not divide ``channels // 2``.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        check_at_least(1, channels=channels, num_heads=num_heads)
        check_even(channels=channels)
        inner = channels // 2
        if inner % num_heads:
            cure = max(heads for heads in range(1, num_heads) if inner % heads == 0)
            raise ValueError(
                f"num_heads must divide the attention width, channels // 2: got num_heads={num_heads} "
                f"and {channels} // 2 = {inner}; use num_heads={cure}, or a width that is a multiple of "
                f"{2 * num_heads}."
            )
        self.num_heads = num_heads
        self.query = nn.Linear(channels, inner)
        self.key = nn.Linear(channels, inner)
        self.value = nn.Linear(channels, inner)
        self.out = nn.Linear(inner, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend from ``query`` (B, N, C) to ``key`` and ``value`` (B, M, C); returns (B, N, C)."""
        mixed = F.scaled_dot_product_attention(
            self._heads(self.query(query)), self._heads(self.key(key)), self._heads(self.value(value))
        )
        return self.out(mixed.transpose(1, 2).flatten(2))  # BxhxNxd -> BxNxC/2 -> BxNxC

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # BxNxC/2 -> BxhxNxd


class SpatialAttention(nn.Module):
    """Weigh each pixel by a 7x7 look at its neighbors' mean and maximum over channels (paper, "SAM").

    The paper draws a 3x3 kernel and no residual; the published network has 7x7 and adds its input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, features: Tensor, height: int, width: int) -> Tensor:
        """Weigh ``features`` (B, H*W, C); the shape stays."""
        summary = torch.stack([features.mean(dim=-1), features.amax(dim=-1)], dim=1)  # Bx2xHW
        weight = self.conv(summary.unflatten(-1, (height, width))).sigmoid()  # Bx1xHxW
        return features * weight.flatten(2).transpose(1, 2) + features


class ChannelAttention(nn.Module):
    """Mix channels by how unlike they are over all pixels (paper, "CAB").

    With the affinity A = x x^T of the channels, unscaled, the result is gamma * softmax(max(A) - A) x + x;
    gamma is learned from 0. The paper writes softmax(Q K^T) V + S; the published network does this.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """Mix ``features`` (B, H*W, C); the shape stays."""
        weights = self._weights(features).to(features.dtype)  # BxCxC
        return self.gamma * (features @ weights.transpose(1, 2)) + features

    def _weights(self, features: Tensor) -> Tensor:
        # |A| reaches 10^5 at 512 x 512 pixels while differences of 1 decide the softmax: half precision is not enough.
        if torch.jit.is_scripting():
            # TorchScript cannot leave a caller's autocast, which never touches float64.
            x = features.double()
            affinity = (x.transpose(1, 2) @ x).float()
        else:
            with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
                x = features.float()
                affinity = x.transpose(1, 2) @ x
        # The maximum cancels in the softmax, yet it is part of the rounding: kept for checkpoint parity.
        return torch.softmax(affinity.amax(dim=-1, keepdim=True) - affinity, dim=-1, dtype=torch.float32)


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

    def forward(self, features: Tensor) -> Tensor:
        """Encode the positions of a map (B, C, H, W); returns (1, H*W, C) in its dtype."""
        height, width = features.shape[-2:]
        frequencies = self.frequencies.float()
        # Sums of products rather than a matrix product, which autocast would round to half precision.
        x = _centers(width, features).unsqueeze(-1) * frequencies[0]  # WxC/2
        y = _centers(height, features).unsqueeze(-1) * frequencies[1]  # HxC/2
        phase = (y.unsqueeze(1) + x.unsqueeze(0)).flatten(0, 1)  # HxWxC/2 -> HWxC/2
        return torch.cat([phase.sin(), phase.cos()], dim=-1).unsqueeze(0).to(features.dtype)


def _centers(size: int, like: Tensor) -> Tensor:
    """Centers of ``size`` pixels, spread over (-2 pi, 2 pi)."""
    steps = torch.arange(size, device=like.device, dtype=torch.float32)
    return 2 * math.pi * (2 * (steps + 0.5) / size - 1)
