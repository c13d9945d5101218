# SPDX-License-Identifier: Apache-2.0

"""The attention layers of the decoder: between tokens and features, over channels, and over pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from monai.networks.blocks import MLPBlock
from torch import Tensor, nn

from .blocks import check_at_least, check_even
from .positions import at_least_float32

__all__ = ["DualMixAttention", "CrossAttention", "SpatialAttention", "ChannelAttention", "are_few"]

# Shapes: B batch size, T number of mask tokens, C channels, H x W feature map in pixels, h attention heads,
# d = C / 2 / h channels of a head. Features are sequences of pixels: (B, H*W, C).


class DualMixAttention(nn.Module):
    """One block of the decoder: tokens attend to features, then features to tokens (paper, "Dual Mix Attention").

    Tokens attend to two views of the features: in one view each pixel is weighted, in the other channels are mixed.
    Then the sum of both views attends to the tokens.

    With few tokens the views are never computed. Both are linear in the features x: ``pixel_weights * x`` and
    ``channel_mixing @ x``. Their factors can therefore be applied to the few vectors inside the attention instead of to
    every pixel. The results are equal and take less work.

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
        """Update tokens and features.

        Args:
            tokens: (B, T, C).
            features: (B, H*W, C).
            positions: position encoding of the pixels, (1, H*W, C).
            height: H of the feature map, in pixels.
            width: W of the feature map, in pixels.

        Returns:
            Updated tokens (B, T, C) and features (B, H*W, C).
        """
        encoded = features + positions
        pixel_weights = self.spatial_attention(encoded, height, width)  # BxHWx1
        channel_mixing = self.channel_attention(encoded)  # BxCxC
        if self.few_tokens:
            token_update = self._attend_to_features(tokens, encoded, pixel_weights, channel_mixing)
            attended = self.attention_norm(token_update + tokens)
            feature_update = self._attend_to_tokens(attended, encoded, pixel_weights, channel_mixing, positions)
        else:
            spatial = encoded * pixel_weights
            channel = encoded @ channel_mixing.transpose(1, 2)
            attended = self.attention_norm(
                self.tokens_to_spatial(tokens, spatial, spatial)
                + self.tokens_to_channel(tokens, channel, channel)
                + tokens
            )
            feature_update = self.features_to_tokens(spatial + channel + positions, attended, attended)
        return self.mlp_norm(self.mlp(attended)) + tokens, feature_update + features

    def _attend_to_features(
        self, tokens: Tensor, encoded: Tensor, pixel_weights: Tensor, channel_mixing: Tensor
    ) -> Tensor:
        """Attend from a few tokens (B, T, C) to both views, without computing the views; returns (B, T, C)."""
        pixel_weights = pixel_weights.transpose(1, 2)  # Bx1xHW
        probes, offsets = self.tokens_to_spatial.probes(tokens)  # BxhTxC, BxhTx1
        channel_probes, channel_offsets = self.tokens_to_channel.probes(tokens)
        products = torch.cat([probes, channel_probes @ channel_mixing], dim=1) @ encoded.transpose(1, 2)
        spatial_scores, channel_scores = products.chunk(2, dim=1)  # BxhTxHW
        spatial_weights = (spatial_scores * pixel_weights + offsets).softmax(dim=-1) * pixel_weights
        channel_weights = (channel_scores + channel_offsets).softmax(dim=-1)
        sums = torch.cat([spatial_weights, channel_weights], dim=1) @ encoded
        spatial_sums, channel_sums = sums.chunk(2, dim=1)  # BxhTxC
        return self.tokens_to_spatial.collect(spatial_sums) + self.tokens_to_channel.collect(
            channel_sums @ channel_mixing.transpose(1, 2)
        )

    def _attend_to_tokens(
        self, tokens: Tensor, encoded: Tensor, pixel_weights: Tensor, channel_mixing: Tensor, positions: Tensor
    ) -> Tensor:
        """Attend from the sum of views and positions to a few tokens, without computing it; returns (B, H*W, C)."""
        keys, offsets = self.features_to_tokens.keys(tokens)  # BxhTxC, BxhTx1
        products = torch.cat([keys, keys @ channel_mixing], dim=1) @ encoded.transpose(1, 2)
        spatial_scores, channel_scores = products.chunk(2, dim=1)  # BxhTxHW
        scores = spatial_scores * pixel_weights.transpose(1, 2) + channel_scores
        scores = scores + (keys @ positions.transpose(1, 2) + offsets)
        return self.features_to_tokens.spread(scores, tokens)


class CrossAttention(nn.Module):
    """Multi-head attention that computes at half the width of its inputs.

    ``forward`` is the plain form, which projects queries, keys and values. Between a few tokens and many pixels, the
    projections of the pixels cost most. Projections are linear, so they can be applied to the tokens instead, with
    equal results: the score of a pixel is the product of its features with a vector computed from a token, and values
    can be projected after they were averaged. If tokens are the queries, ``ask`` does this: it calls ``probes``, then
    ``collect``. If pixels are the queries, call ``keys``, then ``spread``.

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
            fitting_heads = max(heads for heads in range(1, num_heads) if inner % heads == 0)
            raise ValueError(
                f"num_heads must divide the attention width, channels // 2: got num_heads={num_heads} "
                f"and {channels} // 2 = {inner}; use num_heads={fitting_heads}, or a width that is a multiple of "
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
        attended = F.scaled_dot_product_attention(
            self._heads(self.query(query)), self._heads(self.key(key)), self._heads(self.value(value))
        )
        return self.out(attended.transpose(1, 2).flatten(2))  # BxhxNxd -> BxNxC/2 -> BxNxC

    def ask(self, tokens: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Do the same as ``forward``, fast for a few query ``tokens`` (B, T, C) and many pixels (B, H*W, C)."""
        probes, offsets = self.probes(tokens)
        return self.collect((probes @ key.transpose(1, 2) + offsets).softmax(dim=-1) @ value)

    def probes(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Turn query tokens (B, T, C) into vectors (B, h*T, C) and offsets (B, h*T, 1).

        The score of a pixel is its product with the vector, plus the offset.
        """
        return self._absorb(self.query(tokens), self.key.weight, self.key.bias)

    def collect(self, sums: Tensor) -> Tensor:
        """Turn the weighted sums of pixels (B, h*T, C) into the result for the query tokens (B, T, C)."""
        weight = self.value.weight.unflatten(0, (self.num_heads, -1)).transpose(1, 2)  # hxCxd
        value = sums.unflatten(1, (self.num_heads, -1)) @ weight  # BxhxTxd
        return self.out(value.transpose(1, 2).flatten(2) + self.value.bias)  # weights sum to 1: add the bias once

    def keys(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Turn key tokens (B, T, C) into vectors (B, h*T, C) and offsets (B, h*T, 1), used as those of ``probes``."""
        return self._absorb(self.key(tokens), self.query.weight, self.query.bias)

    def spread(self, scores: Tensor, tokens: Tensor) -> Tensor:
        """Average value tokens (B, T, C) for every pixel, by scores (B, h*T, H*W); returns (B, H*W, C)."""
        weights = scores.unflatten(1, (self.num_heads, -1)).softmax(dim=2).flatten(1, 2)  # BxhTxHW
        weight = self.out.weight.unflatten(1, (self.num_heads, -1)).permute(1, 2, 0)  # hxdxC
        values = (self._heads(self.value(tokens)) @ weight).flatten(1, 2)  # BxhTxC
        return weights.transpose(1, 2) @ values + self.out.bias

    def _absorb(self, projected: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the pixels' projection, weight (C/2, C) and bias (C/2,), to projected tokens (B, T, C/2) instead."""
        vectors = self._heads(projected) * self.scale  # BxhxTxd
        weight = weight.unflatten(0, (self.num_heads, -1))  # hxdxC
        bias = bias.unflatten(0, (self.num_heads, -1)).unsqueeze(-1)  # hxdx1
        return (vectors @ weight).flatten(1, 2), (vectors @ bias).flatten(1, 2)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # BxNxC/2 -> BxhxNxd


class SpatialAttention(nn.Module):
    """Compute a weight for each pixel from the channel mean and maximum in its 7x7 neighborhood (paper, "SAM").

    The paper draws a 3x3 kernel and no residual. The published network has a 7x7 kernel and adds its input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, features: Tensor, height: int, width: int) -> Tensor:
        """Compute the weights of the pixels of ``features`` (B, H*W, C): (B, H*W, 1), from 1 to 2."""
        summary = torch.stack([features.mean(dim=-1), features.amax(dim=-1)], dim=1)  # Bx2xHW
        weight = self.conv(summary.unflatten(-1, (height, width))).sigmoid()  # Bx1xHxW
        return (weight + 1).flatten(2).transpose(1, 2)


class ChannelAttention(nn.Module):
    """Mix channels by how different they are over all pixels (paper, "CAB").

    With the unscaled affinity A = x x^T of the channels, the result is gamma * softmax(max(A) - A) x + x.
    The learned gamma starts at 0. The paper writes softmax(Q K^T) V + S; the published network computes the formula
    above.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """Compute the matrices (B, C, C) that mix the channels of each pixel of ``features`` (B, H*W, C)."""
        weights = self._weights(features)
        identity = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        return (self.gamma * weights + identity).to(features.dtype)

    def _weights(self, features: Tensor) -> Tensor:
        """Return the rows of the softmax, (B, C, C), in float32 or float64."""
        # |A| reaches 10^5 at 512 x 512 pixels, but differences of 1 decide the softmax: half precision is too coarse.
        if torch.jit.is_scripting():
            # TorchScript cannot disable a caller's autocast. A test product shows whether it is on; float64 escapes it.
            x = features.to(at_least_float32(features.dtype))
            if (x[:1, :1] @ x[:1, :1].transpose(1, 2)).dtype != x.dtype:
                x = features.double()
            affinity = (x.transpose(1, 2) @ x).to(at_least_float32(features.dtype))
        else:
            with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
                x = features.to(at_least_float32(features.dtype))
                affinity = x.transpose(1, 2) @ x
        # The maximum cancels in the softmax, but it changes the rounding: it is needed for equal results (parity).
        difference = affinity.amax(dim=-1, keepdim=True) - affinity
        # e^-46 is 1e-20, which has no effect. But its product with a gradient is a denormal number, slow on a CPU.
        difference = F.threshold(difference - difference.amax(dim=-1, keepdim=True), -46.0, -math.inf)
        return difference.softmax(dim=-1)


def are_few(num_tokens: int, num_heads: int, channels: int) -> bool:
    """Return whether applying a projection to the tokens instead of the pixels saves work.

    Per pixel, ``num_heads * num_tokens * channels`` multiplications replace about half of ``channels ** 2``.

    Args:
        num_tokens: number of tokens T.
        num_heads: attention heads h.
        channels: width C of tokens and features.
    """
    return 2 * num_heads * num_tokens <= channels
