# SPDX-License-Identifier: Apache-2.0

"""The reference formulation of QTSeg: the paper's arithmetic written out, step by step, on contiguous NCHW maps.

It is slow and plain on purpose: the network is held against it, in value and in speed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.networks.attention import ChannelAttention, CrossAttention, DualMixAttention, SpatialAttention
from scripts.networks.decoder import DecoderStage
from scripts.networks.qtseg import QTSeg
from scripts.networks.upsampling import Upsample

__all__ = ["ReferenceQTSeg"]

# Shapes: B batch, T mask tokens, C channels, h heads, d channels of a head, H x W feature map.


class ReferenceQTSeg(nn.Module):
    """Compute what a QTSeg computes, with its weights, in the reference formulation.

    Maps are (B, C, H, W) and contiguous, positions are computed at every forward, the normalization over channels is
    written as mean, variance and square root, and attention as q k^T, softmax, a v.

    Args:
        network: the network whose weights are copied; its memory format and mode are not.
        native: whether to use PyTorch's own ``layer_norm`` and ``scaled_dot_product_attention`` instead.
    """

    def __init__(self, network: QTSeg, *, native: bool = False) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        self.native = native

    def forward(self, image: Tensor) -> Tensor:
        """Segment images (B, in_channels, H, W); returns logits (B, T, H, W)."""
        fine, maps = self.network.encoder(image.contiguous())
        s0, s1, s2 = self.network.bridge(maps)
        stages = self.network.decoder.stages
        tokens = self.network.decoder.tokens.unsqueeze(0).repeat(len(image), 1, 1)
        tokens, features = self._stage(stages[2], tokens, s2)
        tokens, features = self._stage(stages[1], tokens, s1 + features)
        tokens, features = self._stage(stages[0], tokens, s0 + features, fine[::-1])
        batch, channels, height, width = features.shape
        masks = (tokens @ features.view(batch, channels, height * width)).view(batch, -1, height, width)
        logits = F.interpolate(masks, size=image.shape[-2:], mode="bilinear", align_corners=False)
        refinement = self.network.refinement
        if refinement is None:
            return logits
        looked = refinement.look(image.contiguous())
        return logits + refinement.correct(refinement.merge(torch.cat([looked, logits], dim=1)))

    def _stage(
        self, stage: DecoderStage, tokens: Tensor, features: Tensor, fine: Sequence[Tensor] = ()
    ) -> tuple[Tensor, Tensor]:
        positions = self._positions(stage.positions.frequencies, features)
        attended = tokens
        for block in stage.blocks:
            attended, features = self._block(block, attended, features, positions)
        read = self._attend(
            stage.tokens_to_features, attended + tokens, _to_sequence(features + positions), _to_sequence(features)
        )
        attended = stage.token_norm(attended + read)
        carried = [mlp(attended[:, token]) for token, mlp in enumerate(stage.token_mlps)]
        details = getattr(stage, "details", [])
        for upsample, project, finer in zip_longest(stage.upsample, details, fine if details else ()):
            features = upsample.conv(features)
            if project is not None:
                features = features + F.conv2d(finer, project.weight[:, :, None, None], project.bias)
            features = self._normalized(upsample, features)
        return torch.stack(carried, dim=1), features

    def _block(
        self, block: DualMixAttention, tokens: Tensor, features: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        height, width = features.shape[-2:]
        placed = features + positions
        spatial = self._spatial(block.spatial_attention, placed)
        channel = self._channel(block.channel_attention, placed)
        by_place, by_channel = _to_sequence(spatial), _to_sequence(channel)
        mixed = block.attention_norm(
            self._attend(block.tokens_to_spatial, tokens, by_place, by_place)
            + self._attend(block.tokens_to_channel, tokens, by_channel, by_channel)
            + tokens
        )
        query = _to_sequence(spatial + channel + positions)
        read = self._attend(block.features_to_tokens, query, mixed, mixed)
        read = read.transpose(1, 2).contiguous().view(*features.shape[:2], height, width)
        return block.mlp_norm(block.mlp(mixed)) + tokens, read + features

    def _attend(self, attention: CrossAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        def heads(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], attention.num_heads, -1).transpose(1, 2)  # BxNxC/2 -> BxhxNxd

        q, k, v = heads(attention.query(query)), heads(attention.key(key)), heads(attention.value(value))
        if self.native:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]), dim=-1) @ v
        return attention.out(mixed.transpose(1, 2).flatten(2))

    def _normalized(self, upsample: Upsample, features: Tensor) -> Tensor:
        norm = upsample.norm
        if self.native:
            normalized = F.layer_norm(
                features.permute(0, 2, 3, 1), norm.normalized_shape, norm.weight, norm.bias, norm.eps
            ).permute(0, 3, 1, 2)
        else:
            centered = features - features.mean(dim=1, keepdim=True)
            variance = centered.pow(2).mean(dim=1, keepdim=True)
            normalized = norm.weight[:, None, None] * (centered / torch.sqrt(variance + norm.eps))
            normalized = normalized + norm.bias[:, None, None]
        return F.gelu(normalized)

    @staticmethod
    def _spatial(attention: SpatialAttention, x: Tensor) -> Tensor:
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.max(dim=1, keepdim=True).values], dim=1)
        return x * torch.sigmoid(attention.conv(summary)) + x

    @staticmethod
    def _channel(attention: ChannelAttention, x: Tensor) -> Tensor:
        pixels = x.flatten(2)  # BxCxHW
        affinity = pixels @ pixels.transpose(1, 2)  # BxCxC
        weights = torch.softmax(affinity.max(dim=-1, keepdim=True).values - affinity, dim=-1)
        return attention.gamma * (weights @ pixels).view(x.shape) + x

    @staticmethod
    def _positions(frequencies: Tensor, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        rows, columns = (torch.arange(size).to(frequencies) for size in (height, width))
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centers = torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=-1)  # HxWx2
        phase = 2 * math.pi * ((2 * centers - 1) @ frequencies)  # HxWxC/2
        return torch.cat([phase.sin(), phase.cos()], dim=-1).permute(2, 0, 1).unsqueeze(0)


def _to_sequence(features: Tensor) -> Tensor:
    return features.flatten(2).transpose(1, 2)  # BxCxHxW -> BxHWxC
