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

# Shapes: B batch, T mask tokens, C channels, H x W feature map.
# Between maps, features are sequences of pixels: (B, H*W, C).
# Stages and maps count fine to coarse: 0 at /8, 1 at /16, 2 at /32 of the image.


class MaskDecoder(nn.Module):
    """Multi-query mask decoder (paper, section "Mask decoder").

    Learned tokens, one per class, pass three stages from coarse to fine; their products with the
    finest features are the masks.

    Args:
        in_channels: widths of the three maps, fine to coarse; even.
        out_channels: number of masks T: the classes with the background, or 1 for a sigmoid's single mask.
        depths: attention blocks of stage 0 (fine), 1 and 2 (coarse).
        num_heads: attention heads; must divide half of each width.
        mlp_dim: hidden width of the tokens' MLP in each block.
        fine_channels: widths of two finer maps, at /2 and /4 of the image, which are added to the features where those
            reach their sizes; empty for none, as published. At /8 nothing is left of what is a few pixels wide.

    Raises:
        ValueError: if there are not three widths and three depths, or neither none nor two finer widths, a setting is
            below 1, a width is odd, or ``num_heads`` does not divide half of a width.

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
            raise ValueError(f"fine_channels must hold 2 widths, at /2 and /4, or none: got {fine_channels}.")
        if len(in_channels) != 3:
            raise ValueError(f"in_channels must hold 3 widths, fine to coarse: got {len(in_channels)}, {in_channels}.")
        if len(depths) != 3:
            raise ValueError(f"depths must hold 3 numbers, one per stage, fine to coarse: got {len(depths)}, {depths}.")
        check_at_least(1, out_channels=out_channels)
        fine, middle, coarse = in_channels
        # What each stage hands on: to stage 0 the width of stage 0, ...; stage 0 itself goes up twice.
        hands_on = [(fine // 2, fine), (fine,), (middle,)]
        last = partial(LastStage, fine_channels=fine_channels)
        kinds: list[Callable[..., DecoderStage]] = [last, DecoderStage, DecoderStage]
        self.tokens = nn.Parameter(torch.randn(out_channels, coarse))
        self.stages = nn.ModuleList(
            [
                stage(width, widths, out_channels, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
                for stage, width, widths, depth in zip(kinds, in_channels, hands_on, depths)
            ]
        )

    def forward(self, maps: tuple[Tensor, Tensor, Tensor], fine: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Decode three maps into masks.

        Args:
            maps: (B, C0, H/8, W/8), (B, C1, H/16, W/16), (B, C2, H/32, W/32).
            fine: of the widths ``fine_channels``, at H/2 x W/2 and H/4 x W/4; without those they are not looked at.

        Returns:
            Logits at half of the image's size: (B, T, H/2, W/2).
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
        out_channels: widths of the features after each doubling of their size; the tokens leave with the last.
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
            Tokens (B, T, out_channels[-1]) and features (B, out_channels[-1], H*2^k, W*2^k) for k ``out_channels``.
        """
        tokens, sequence = self._attend(tokens, features)
        return tokens, to_map(self.upsample(sequence), features)

    def _attend(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Do all but the upsampling; returns projected tokens and features as (B, H*W, in_channels)."""
        height, width = features.shape[-2:]
        positions = self.positions(features)  # (1, H*W, C)
        sequence = features.flatten(2).transpose(1, 2)  # BxCxHxW -> BxHWxC
        attended = tokens
        for block in self.blocks:
            attended, sequence = block(attended, sequence, positions, height, width)
        query, key = attended + tokens, sequence + positions
        if self.few_tokens:
            read = self.tokens_to_features.ask(query, key, sequence)
        else:
            read = self.tokens_to_features(query, key, sequence)
        attended = self.token_norm(attended + read)
        return self._project(attended), sequence

    def _project(self, tokens: Tensor) -> Tensor:
        projected = []
        for token, mlp in enumerate(self.token_mlps):
            projected.append(mlp(tokens[:, token]))
        return torch.stack(projected, dim=1)


class LastStage(DecoderStage):
    """The stage whose tokens and features multiply into masks; for the arguments see ``DecoderStage``.

    Args:
        fine_channels: widths of finer maps, fine to coarse, one for each doubling; empty for none.
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
        # in the order in which the features pass them: coarse to fine
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
            fine: (B, fine_channels[0], H*4, W*4), (B, fine_channels[1], H*2, W*2).

        Returns:
            Tokens (B, T, out_channels[-1]) and masks (B, T, H*2^k, W*2^k) for k ``out_channels``.
        """
        tokens, sequence = self._attend(tokens, features)
        details: list[Tensor] = []
        if len(self.details) > 0:
            assert fine is not None
            details = [to_parts(fine[1]), to_parts(fine[0], twice=True)]
        if features.is_cuda or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return tokens, to_map(self._masks(tokens, sequence, details), features)
        # The finest features are the largest tensor by far. Made and used in pieces, they do not leave a CPU's cache.
        pieces, finer = _pieces(sequence), [_pieces(detail) for detail in details]
        tokens_of = tokens.split(1)
        of_each_image = len(pieces) // len(tokens_of)
        parts = []
        for place, piece in enumerate(pieces):
            parts.append(self._masks(tokens_of[place // of_each_image], piece, [each[place] for each in finer]))
        masks = torch.cat(parts, dim=1).unflatten(1, (sequence.shape[0], -1)).squeeze(0)
        return tokens, to_map(masks, features)

    def _masks(self, tokens: Tensor, sequence: Tensor, details: list[Tensor]) -> Tensor:
        if len(self.details) > 0:
            doubling = 0
            for upsample, project in zip(self.upsample, self.details):
                sequence = upsample(sequence, project(details[doubling]))
                doubling += 1
        else:
            sequence = self.upsample(sequence)  # BxHWx4x4xC
        return (sequence.flatten(1, 3) @ tokens.transpose(1, 2)).unflatten(1, (-1, 4, 4))


def _pieces(x: Tensor, size: int = 512) -> list[Tensor]:
    """Cut what pixels hold (B, H*W, ...) into pieces of one image and at most ``size`` pixels each, in order.

    512 pixels, each split in 16, are 2 MB in float32 at the published width. All are cut at once: the gradient of a
    slice alone is as large as the whole.
    """
    pieces: list[Tensor] = []
    for image in x.split(1):
        pieces.extend(image.split(size, dim=1))
    return pieces


class TokenMLP(nn.Module):
    """Three linear layers that carry one token to the next stage.

    Args:
        in_channels: width of the token and of the hidden layers.
        out_channels: width expected by the next stage.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_channels, in_channels)
        self.linear2 = nn.Linear(in_channels, in_channels)
        self.linear3 = nn.Linear(in_channels, out_channels)

    def forward(self, token: Tensor) -> Tensor:
        """Carry a token (B, in_channels) on; returns (B, out_channels)."""
        return self.linear3(F.relu(self.linear2(F.relu(self.linear1(token)))))
