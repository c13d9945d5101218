# SPDX-License-Identifier: Apache-2.0

"""The attention of the decoder: tokens and features see each other, features see their channels and surroundings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from monai.networks.blocks import MLPBlock
from torch import Tensor, nn

from .blocks import check_at_least, check_even
from .positions import at_least_float32

__all__ = ["DualMixAttention", "CrossAttention", "SpatialAttention", "ChannelAttention", "are_few"]

# Shapes: B batch, T mask tokens, C channels, H x W feature map. Features are sequences: (B, H*W, C).


class DualMixAttention(nn.Module):
    """One block of the decoder: tokens read the features, features read the tokens (paper, "Dual Mix Attention").

    Tokens read two views of the features, one weighed by place and one mixed across channels;
    both views together then read the tokens.

    With few tokens no view is built. Both are linear in the features, ``place * x`` and ``mixing @ x``, so place and
    mixing move into the attention, where they meet a few vectors instead of every pixel: equal results, less work.

    Args:
        channels: width C of tokens and features; must be even.
        num_heads: attention heads; must divide ``channels // 2``.
        mlp_dim: hidden width of the tokens' MLP.
        num_tokens: number of tokens T.

    Raises:
        ValueError: if ``num_heads`` does not divide the attention width, or a setting is below 1.
    """

    def __init__(self, channels: int, num_heads: int, mlp_dim: int, num_tokens: int) -> None:
        super().__init__()
        check_at_least(1, mlp_dim=mlp_dim, num_tokens=num_tokens)
        self.few_tokens = are_few(num_tokens, num_heads, channels)
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
        place = self.spatial_attention(placed, height, width)  # BxHWx1
        mixing = self.channel_attention(placed)  # BxCxC
        if self.few_tokens:
            mixed = self.attention_norm(self._read_features(tokens, placed, place, mixing) + tokens)
            read = self._read_tokens(mixed, placed, place, mixing, positions)
        else:
            spatial = placed * place
            channel = placed @ mixing.transpose(1, 2)
            mixed = self.attention_norm(
                self.tokens_to_spatial(tokens, spatial, spatial)
                + self.tokens_to_channel(tokens, channel, channel)
                + tokens
            )
            read = self.features_to_tokens(spatial + channel + positions, mixed, mixed)
        return self.mlp_norm(self.mlp(mixed)) + tokens, read + features

    def _read_features(self, tokens: Tensor, placed: Tensor, place: Tensor, mixing: Tensor) -> Tensor:
        """Let a few tokens read both views, from the features alone."""
        place = place.transpose(1, 2)  # Bx1xHW
        probes, offsets = self.tokens_to_spatial.probes(tokens)  # BxhTxC, BxhTx1
        mixed_probes, mixed_offsets = self.tokens_to_channel.probes(tokens)
        products = torch.cat([probes, mixed_probes @ mixing], dim=1) @ placed.transpose(1, 2)
        by_place, by_mixing = products.chunk(2, dim=1)  # BxhTxHW
        weights = [(by_place * place + offsets).softmax(dim=-1) * place, (by_mixing + mixed_offsets).softmax(dim=-1)]
        seen_by_place, seen_by_mixing = (torch.cat(weights, dim=1) @ placed).chunk(2, dim=1)  # BxhTxC
        return self.tokens_to_spatial.collect(seen_by_place) + self.tokens_to_channel.collect(
            seen_by_mixing @ mixing.transpose(1, 2)
        )

    def _read_tokens(self, tokens: Tensor, placed: Tensor, place: Tensor, mixing: Tensor, positions: Tensor) -> Tensor:
        """Let both views and the positions together read a few tokens, from the features alone."""
        keys, offsets = self.features_to_tokens.keys(tokens)  # BxhTxC, BxhTx1
        products = torch.cat([keys, keys @ mixing], dim=1) @ placed.transpose(1, 2)
        by_place, by_mixing = products.chunk(2, dim=1)  # BxhTxHW
        scores = by_place * place.transpose(1, 2) + by_mixing + (keys @ positions.transpose(1, 2) + offsets)
        return self.features_to_tokens.spread(scores, tokens)


class CrossAttention(nn.Module):
    """Multi-head attention at half the width.

    ``forward`` is the plain form, which projects queries, keys and values. Between a few tokens and many pixels the
    projections of the pixels cost most. Being linear, they can be moved onto the tokens, with equal results: a score
    is a product of a pixel with a vector made of a token, and values may be projected after they were weighed. When
    tokens ask, that is ``ask``, of which ``probes`` and ``collect`` are the halves; when pixels ask, ``keys`` and
    ``spread``.

    Args:
        channels: width C of query, key, value and result; must be even.
        num_heads: attention heads h; must divide ``channels // 2``.

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
        self.scale = (inner // num_heads) ** -0.5
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

    def ask(self, tokens: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Do what ``forward`` does, for a few ``tokens`` (B, T, C) that ask many pixels (B, H*W, C)."""
        probes, offsets = self.probes(tokens)
        return self.collect((probes @ key.transpose(1, 2) + offsets).softmax(dim=-1) @ value)

    def probes(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Turn tokens (B, T, C) that ask into vectors (B, h*T, C) and offsets (B, h*T, 1): what scores a pixel."""
        return self._absorb(self.query(tokens), self.key.weight, self.key.bias)

    def collect(self, seen: Tensor) -> Tensor:
        """Turn the weighed sums of pixels (B, h*T, C) into what the tokens read (B, T, C)."""
        weight = self.value.weight.unflatten(0, (self.num_heads, -1)).transpose(1, 2)  # hxCxd
        value = seen.unflatten(1, (self.num_heads, -1)) @ weight  # BxhxTxd
        return self.out(value.transpose(1, 2).flatten(2) + self.value.bias)  # weights sum to 1, so one bias

    def keys(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Turn tokens (B, T, C) that are asked into vectors (B, h*T, C) and offsets (B, h*T, 1), as ``probes`` does."""
        return self._absorb(self.key(tokens), self.query.weight, self.query.bias)

    def spread(self, scores: Tensor, tokens: Tensor) -> Tensor:
        """Let pixels read tokens (B, T, C) by their scores (B, h*T, H*W); returns (B, H*W, C)."""
        weights = scores.unflatten(1, (self.num_heads, -1)).softmax(dim=2).flatten(1, 2)  # BxhTxHW
        weight = self.out.weight.unflatten(1, (self.num_heads, -1)).permute(1, 2, 0)  # hxdxC
        values = (self._heads(self.value(tokens)) @ weight).flatten(1, 2)  # BxhTxC
        return weights.transpose(1, 2) @ values + self.out.bias

    def _absorb(self, projected: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Move the projection of the other side, (C/2, C) and (C/2,), onto projected tokens (B, T, C/2)."""
        vectors = self._heads(projected) * self.scale  # BxhxTxd
        weight = weight.unflatten(0, (self.num_heads, -1))  # hxdxC
        bias = bias.unflatten(0, (self.num_heads, -1)).unsqueeze(-1)  # hxdx1
        return (vectors @ weight).flatten(1, 2), (vectors @ bias).flatten(1, 2)

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
        """Look at ``features`` (B, H*W, C); returns the weights of the pixels, from 1 to 2: (B, H*W, 1)."""
        summary = torch.stack([features.mean(dim=-1), features.amax(dim=-1)], dim=1)  # Bx2xHW
        weight = self.conv(summary.unflatten(-1, (height, width))).sigmoid()  # Bx1xHxW
        return (weight + 1).flatten(2).transpose(1, 2)


class ChannelAttention(nn.Module):
    """Mix channels by how unlike they are over all pixels (paper, "CAB").

    With the affinity A = x x^T of the channels, unscaled, the result is gamma * softmax(max(A) - A) x + x;
    gamma is learned from 0. The paper writes softmax(Q K^T) V + S; the published network does this.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """Look at ``features`` (B, H*W, C); returns the matrices that mix a pixel's channels: (B, C, C)."""
        weights = self._weights(features)
        identity = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        return (self.gamma * weights + identity).to(features.dtype)

    def _weights(self, features: Tensor) -> Tensor:
        # |A| reaches 10^5 at 512 x 512 pixels while differences of 1 decide the softmax: half precision is not enough.
        if torch.jit.is_scripting():
            # TorchScript cannot leave a caller's autocast, which shows in any product and never touches float64.
            x = features.to(at_least_float32(features.dtype))
            if (x[:1, :1] @ x[:1, :1].transpose(1, 2)).dtype != x.dtype:
                x = features.double()
            affinity = (x.transpose(1, 2) @ x).to(at_least_float32(features.dtype))
        else:
            with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
                x = features.to(at_least_float32(features.dtype))
                affinity = x.transpose(1, 2) @ x
        # The maximum cancels in the softmax, yet it is part of the rounding: kept for checkpoint parity.
        unlike = affinity.amax(dim=-1, keepdim=True) - affinity
        # e^-46 is 1e-20 and weighs nothing, but times a gradient it leaves float32's normal range: slow on a CPU.
        unlike = F.threshold(unlike - unlike.amax(dim=-1, keepdim=True), -46.0, -math.inf)
        return unlike.softmax(dim=-1)


def are_few(num_tokens: int, num_heads: int, channels: int) -> bool:
    """Whether moving a projection from the pixels onto the tokens saves work.

    Per pixel, ``num_heads * num_tokens * channels`` multiplications replace about half of ``channels ** 2``.
    """
    return 2 * num_heads * num_tokens <= channels
