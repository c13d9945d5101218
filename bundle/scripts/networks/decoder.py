# SPDX-License-Identifier: Apache-2.0

"""The decoder of QTSeg: one query token per class grows into that class's mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import CrossAttention, DualMixAttention, are_few
from .blocks import check_at_least
from .positions import FourierPositions
from .upsampling import Upsample, to_map, to_parts

__all__ = ["MaskDecoder", "DecoderStage", "LastStage", "TokenMLP"]

# Shapes: B batch size, T number of mask tokens, C channels, H x W feature map in pixels.
# Inside a stage, features are sequences of pixels: (B, H*W, C).
# Stages and maps are numbered from fine to coarse: 0, 1 and 2 have 1/8, 1/16 and 1/32 of the image's height and width.


class MaskDecoder(nn.Module):
    """Multi-query mask decoder (paper, section "Mask decoder").

    Learned tokens, one per class, pass three stages from coarse to fine. Their products with the finest features are
    the masks.

    Args:
        in_channels: widths of the three maps, from fine to coarse; even.
        out_channels: number of masks T: all classes and the background, or 1 for a single mask with a sigmoid.
        depths: number of attention blocks of stage 0 (fine), 1 and 2 (coarse).
        num_heads: attention heads; must divide half of each width.
        mlp_dim: hidden width of the tokens' MLP in each block.
        fine_channels: widths of two finer maps, with 1/2 and 1/4 of the image's height and width. Each is added to the
            features once they have its size. Maps at 1/8 hold nothing of structures that are only a few pixels wide.
            Empty for no finer maps, as published.

    Raises:
        ValueError: if ``in_channels`` or ``depths`` do not have three values, ``fine_channels`` has neither none nor
            two, a setting is below 1, a width is odd, or ``num_heads`` does not divide half of a width.

    Example::

        decoder = MaskDecoder([64, 128, 256], out_channels=2)
        logits = decoder((torch.zeros(1, 64, 8, 8), torch.zeros(1, 128, 4, 4), torch.zeros(1, 256, 2, 2)))
        assert logits.shape == (1, 2, 32, 32)
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        depths: Sequence[int] = (1, 2, 3),
        num_heads: int = 8,
        mlp_dim: int = 2048,
        fine_channels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if len(fine_channels) not in (0, 2):
            raise ValueError(f"fine_channels must hold 2 widths, at 1/2 and 1/4, or none: got {fine_channels}.")
        if len(in_channels) != 3:
            raise ValueError(f"in_channels must hold 3 widths, fine to coarse: got {len(in_channels)}, {in_channels}.")
        if len(depths) != 3:
            raise ValueError(f"depths must hold 3 numbers, one per stage, fine to coarse: got {len(depths)}, {depths}.")
        check_at_least(1, out_channels=out_channels)
        fine, middle, coarse = in_channels
        # Output widths of the stages: stages 2 and 1 reach the width of the next stage; stage 0 doubles the size twice.
        stage_widths = [(fine // 2, fine), (fine,), (middle,)]
        last_stage = partial(LastStage, fine_channels=fine_channels)
        stage_types: list[Callable[..., DecoderStage]] = [last_stage, DecoderStage, DecoderStage]
        self.tokens = nn.Parameter(torch.randn(out_channels, coarse))
        self.stages = nn.ModuleList(
            [
                stage(width, widths, out_channels, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
                for stage, width, widths, depth in zip(stage_types, in_channels, stage_widths, depths)
            ]
        )

    def forward(self, maps: tuple[Tensor, Tensor, Tensor], fine: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Decode three maps into masks.

        Args:
            maps: (B, C0, H/8, W/8), (B, C1, H/16, W/16), (B, C2, H/32, W/32) for an image of H x W pixels.
            fine: two finer maps (B, fine_channels[0], H/2, W/2) and (B, fine_channels[1], H/4, W/4). They are ignored
                if ``fine_channels`` is empty.

        Returns:
            Logits at half of the image's height and width: (B, T, H/2, W/2).
        """
        s0, s1, s2 = maps
        tokens = self.tokens.unsqueeze(0).expand(s2.shape[0], -1, -1)
        tokens, features = self.stages[2](tokens, s2)
        tokens, features = self.stages[1](tokens, s1 + features)
        _, masks = self.stages[0](tokens, s0 + features, fine)
        return masks


class DecoderStage(nn.Module):
    """One query-token stage: attend, then hand finer features and narrower tokens on.

    Args:
        in_channels: width of incoming tokens and features.
        out_channels: widths of the features after each doubling of their height and width. The outgoing tokens have
            the last of these widths.
        num_tokens: number of tokens T; each has its own MLP.
        depth: number of attention blocks.
        num_heads: attention heads; must divide ``in_channels // 2``.
        mlp_dim: hidden width of the tokens' MLP in each block.

    Raises:
        ValueError: if a setting is below 1 or ``num_heads`` does not divide the attention width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: Sequence[int],
        num_tokens: int,
        *,
        depth: int,
        num_heads: int,
        mlp_dim: int,
    ) -> None:
        super().__init__()
        check_at_least(1, num_tokens=num_tokens, depth=depth)
        self.positions = FourierPositions(in_channels)
        self.few_tokens = are_few(num_tokens, num_heads, in_channels)
        self.blocks = nn.ModuleList(
            [DualMixAttention(in_channels, num_heads, mlp_dim, num_tokens) for _ in range(depth)]
        )
        self.tokens_to_features = CrossAttention(in_channels, num_heads)
        self.token_norm = nn.LayerNorm(in_channels)
        self.token_mlps = nn.ModuleList([TokenMLP(in_channels, out_channels[-1]) for _ in range(num_tokens)])
        widths = [in_channels, *out_channels]
        self.upsample = nn.Sequential(*[Upsample(before, after) for before, after in zip(widths, widths[1:])])

    def forward(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Run the stage.

        Args:
            tokens: (B, T, in_channels).
            features: (B, in_channels, H, W).

        Returns:
            Tokens (B, T, out_channels[-1]) and features (B, out_channels[-1], H*2^k, W*2^k), where k is the length of
            ``out_channels``.
        """
        tokens, sequence = self._attend(tokens, features)
        return tokens, to_map(self.upsample(sequence), features)

    def _attend(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Run all of the stage but its upsampling.

        Returns:
            Projected tokens (B, T, out_channels[-1]) and features (B, H*W, in_channels).
        """
        height, width = features.shape[-2:]
        positions = self.positions(features)  # (1, H*W, C)
        sequence = features.flatten(2).transpose(1, 2)  # BxCxHxW -> BxHWxC
        attended = tokens
        for block in self.blocks:
            attended, sequence = block(attended, sequence, positions, height, width)
        query, key = attended + tokens, sequence + positions
        if self.few_tokens:
            update = self.tokens_to_features.ask(query, key, sequence)
        else:
            update = self.tokens_to_features(query, key, sequence)
        attended = self.token_norm(attended + update)
        return self._project(attended), sequence

    def _project(self, tokens: Tensor) -> Tensor:
        projected = []
        for token, mlp in enumerate(self.token_mlps):
            projected.append(mlp(tokens[:, token]))
        return torch.stack(projected, dim=1)


class LastStage(DecoderStage):
    """The last stage, which multiplies tokens and features to get masks. See ``DecoderStage`` for other arguments.

    Args:
        fine_channels: widths of the finer maps, from fine to coarse, one for each doubling; empty for no finer maps.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: Sequence[int],
        num_tokens: int,
        *,
        depth: int,
        num_heads: int,
        mlp_dim: int,
        fine_channels: Sequence[int] = (),
    ) -> None:
        super().__init__(in_channels, out_channels, num_tokens, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
        # From coarse to fine, which is the order of use.
        self.details = nn.ModuleList(
            [nn.Linear(before, after) for before, after in zip(reversed(fine_channels), out_channels)]
        )

    def forward(
        self, tokens: Tensor, features: Tensor, fine: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run the stage.

        Args:
            tokens: (B, T, in_channels).
            features: (B, in_channels, H, W).
            fine: the finer maps (B, fine_channels[0], H*4, W*4) and (B, fine_channels[1], H*2, W*2); ignored if
                ``fine_channels`` is empty.

        Returns:
            Tokens (B, T, out_channels[-1]) and mask logits (B, T, H*2^k, W*2^k), where k is the length of
            ``out_channels``.
        """
        tokens, sequence = self._attend(tokens, features)
        details: list[Tensor] = []
        if len(self.details) > 0:
            assert fine is not None
            details = [to_parts(fine[1]), to_parts(fine[0], twice=True)]
        if features.is_cuda or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return tokens, to_map(self._masks(tokens, sequence, details), features)
        # The finest features are by far the largest tensor. Computed and used chunk by chunk, they stay in a CPU's
        # cache.
        chunks, detail_chunks = _chunks(sequence), [_chunks(detail) for detail in details]
        image_tokens = tokens.split(1)
        chunks_per_image = len(chunks) // len(image_tokens)
        mask_chunks = []
        for index, chunk in enumerate(chunks):
            chunk_details = [detail[index] for detail in detail_chunks]
            mask_chunks.append(self._masks(image_tokens[index // chunks_per_image], chunk, chunk_details))
        masks = torch.cat(mask_chunks, dim=1).unflatten(1, (sequence.shape[0], -1)).squeeze(0)
        return tokens, to_map(masks, features)

    def _masks(self, tokens: Tensor, sequence: Tensor, details: list[Tensor]) -> Tensor:
        """Upsample pixels (B, H*W, C) twice and multiply them with the tokens; returns logits (B, H*W, 4, 4, T)."""
        if len(self.details) > 0:
            doubling = 0
            for upsample, project in zip(self.upsample, self.details):
                sequence = upsample(sequence, project(details[doubling]))
                doubling += 1
        else:
            sequence = self.upsample(sequence)  # BxHWx4x4xC
        return (sequence.flatten(1, 3) @ tokens.transpose(1, 2)).unflatten(1, (-1, 4, 4))


def _chunks(x: Tensor, size: int = 512) -> list[Tensor]:
    """Split a sequence of pixels (B, H*W, ...) into chunks of one image and at most ``size`` pixels, in order.

    With the published width, 512 pixels that are upsampled to 16 pixels each take 2 MB in float32. ``split`` cuts all
    chunks at once, because the gradient of a single slice would be as large as the whole tensor.
    """
    chunks: list[Tensor] = []
    for image in x.split(1):
        chunks.extend(image.split(size, dim=1))
    return chunks


class TokenMLP(nn.Module):
    """Three linear layers that project one token to the width of the next stage.

    Args:
        in_channels: width of the token and of the hidden layers.
        out_channels: width of the next stage.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_channels, in_channels)
        self.linear2 = nn.Linear(in_channels, in_channels)
        self.linear3 = nn.Linear(in_channels, out_channels)

    def forward(self, token: Tensor) -> Tensor:
        """Project a token (B, in_channels) to (B, out_channels)."""
        return self.linear3(F.relu(self.linear2(F.relu(self.linear1(token)))))
