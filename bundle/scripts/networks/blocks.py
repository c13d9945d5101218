# SPDX-License-Identifier: Apache-2.0

"""Convolution blocks that encoder, bridge and refinement are built of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = [
    "Bottleneck",
    "C2f",
    "ConvNormAct",
    "ConvTransposeNormAct",
    "NORMS",
    "SPPF",
    "check_at_least",
    "check_even",
    "use_group_norm",
]

#: how maps may be normalized: by the statistics of a batch, or of groups of channels of each image
NORMS = ("batch", "group")

_GROUP = 8  # channels

# Shapes: B batch, C channels, H x W feature map. All blocks take and return (B, C, H, W).


def check_at_least(minimum: int, **values: int) -> None:
    """Refuse settings below their minimum.

    Args:
        minimum: the smallest value that makes sense.
        values: the settings by name.

    Raises:
        ValueError: if any value is smaller than ``minimum``; names the setting and both values.
    """
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}: got {value}.")


def check_even(**widths: int) -> None:
    """Refuse widths that cannot be halved.

    Args:
        widths: the widths by name.

    Raises:
        ValueError: if any is odd; names it, its value and the next even one.
    """
    for name, width in widths.items():
        if width % 2:
            raise ValueError(f"{name} must be a multiple of 2 to be halved: got {width}; use {width + 1}.")


class C2f(nn.Module):
    """Split, refine one half step by step, and merge every step: the CSP block of YOLOv8.

    Args:
        in_channels: width of the input.
        out_channels: width of the output; must be even, half of it is the width of each piece.
        depth: number of bottlenecks.
        shortcut: whether each bottleneck adds its input.

    Raises:
        ValueError: if a width or the depth is below 1, or ``out_channels`` is odd.
    """

    def __init__(self, in_channels: int, out_channels: int, depth: int, shortcut: bool) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, out_channels=out_channels, depth=depth)
        check_even(out_channels=out_channels)
        half = out_channels // 2
        self.split = ConvNormAct(in_channels, 2 * half)
        self.bottlenecks = nn.ModuleList([Bottleneck(half, shortcut) for _ in range(depth)])
        self.merge = ConvNormAct((2 + depth) * half, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        pieces = list(self.split(x).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            pieces.append(bottleneck(pieces[-1]))
        return self.merge(torch.cat(pieces, dim=1))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions of one width.

    Args:
        channels: width of input and output.
        shortcut: whether to add the input to the result.
    """

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.conv1 = ConvNormAct(channels, channels, kernel_size=3)
        self.conv2 = ConvNormAct(channels, channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        refined = self.conv2(self.conv1(x))
        return x + refined if self.shortcut else refined


class SPPF(nn.Module):
    """Fast spatial pyramid pooling: three chained 5x5 maxima see 5, 9 and 13 pixels wide.

    Args:
        channels: width of input and output; must be even.

    Raises:
        ValueError: if ``channels`` is odd or below 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        check_even(channels=channels)
        self.reduce = ConvNormAct(channels, channels // 2)
        self.pool = nn.MaxPool2d(kernel_size=5, stride=1, padding=2)
        self.merge = ConvNormAct(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        near = self.reduce(x)
        middle = self.pool(near)
        far = self.pool(middle)
        return self.merge(torch.cat([near, middle, far, self.pool(far)], dim=1))


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalization, SiLU; "same" padding, so only the stride changes the size.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        kernel_size: odd side of the kernel in pixels.
        stride: step of the kernel in pixels.

    Raises:
        ValueError: if a width, the kernel or the stride is below 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> None:
        super().__init__()
        check_at_least(
            1, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride
        )
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class ConvTransposeNormAct(nn.Module):
    """Upsample by a transposed convolution without bias or overlap, then batch normalization and SiLU.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        scale: factor by which height and width grow; kernel and stride both.

    Raises:
        ValueError: if a width or the scale is below 1.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, out_channels=out_channels, scale=scale)
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=scale, stride=scale, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def use_group_norm(network: nn.Module) -> None:
    """Normalize groups of 8 channels of each image (Wu and He 2018) wherever a batch was normalized.

    A batch of images from several microscopes or stains has statistics that fit none of them; so have the running
    statistics that a trained network keeps.

    Args:
        network: whose convolutions are followed by batch normalization; changed in place.

    Example::

        block = ConvNormAct(in_channels=3, out_channels=16)
        use_group_norm(block)
        assert block.norm.num_groups == 2
    """
    for module in network.modules():
        if isinstance(module, (ConvNormAct, ConvTransposeNormAct)):
            channels = module.conv.out_channels
            groups = channels // _GROUP if channels % _GROUP == 0 else 1
            module.norm = nn.GroupNorm(groups, channels)
