# SPDX-License-Identifier: Apache-2.0

"""The optional refinement, which corrects logits at the image's full size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import ConvNormAct, check_at_least

__all__ = ["Refinement"]

# Shapes: B batch size, C channels of the image, T number of masks, H x W image in pixels.


class Refinement(nn.Module):
    """Correct logits with convolutions at the image's full size; the encoder's convolutions reduce it from the start.

    Before training it corrects nothing, because its last convolution is initialized to zero.

    Args:
        in_channels: channels of the image.
        out_channels: number of masks T.
        width: width of the convolutions, in channels.

    Raises:
        ValueError: if a setting is below 1.

    Example::

        refinement = Refinement(in_channels=3, out_channels=2, width=16)
        logits = torch.rand(1, 2, 64, 96)
        assert torch.equal(refinement(torch.zeros(1, 3, 64, 96), logits), logits)
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, out_channels=out_channels, width=width)
        self.look = nn.Sequential(
            ConvNormAct(in_channels, width, kernel_size=3), ConvNormAct(width, width, kernel_size=3)
        )
        self.merge = ConvNormAct(width + out_channels, width, kernel_size=3)
        self.correct = nn.Conv2d(width, out_channels, kernel_size=1)
        nn.init.zeros_(self.correct.weight)
        assert self.correct.bias is not None  # Conv2d has a bias by default
        nn.init.zeros_(self.correct.bias)

    def forward(self, image: Tensor, logits: Tensor) -> Tensor:
        """Correct logits.

        Args:
            image: (B, C, H, W), channels last in memory, in the network's dtype.
            logits: (B, T, H, W), in any dtype.

        Returns:
            Corrected logits (B, T, H, W), in the dtype of ``logits``.
        """
        features = self.look(image)
        converted = logits.to(features.dtype).contiguous(memory_format=torch.channels_last)
        merged = self.merge(torch.cat([features, converted], dim=1))
        return logits + self.correct(merged).to(logits.dtype).contiguous()
