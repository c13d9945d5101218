# SPDX-License-Identifier: Apache-2.0

"""The convolution blocks of encoder, bridge and refinement."""

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

#: kinds of normalization: with the statistics of a batch, or of groups of channels within each image
NORMS = ("batch", "group")

_GROUP = 8  # channels in a group

# Shapes: B batch size, C channels, H x W feature map in pixels. All blocks take and return (B, C, H, W).


def check_at_least(minimum: int, **values: int) -> None:
    """Check that settings are not below their minimum.

    Args:
        minimum: the smallest allowed value.
        values: the settings, by name.

    Raises:
        ValueError: if a value is smaller than ``minimum``. The message names the setting and both values.
    """
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}: got {value}.")


def check_even(**widths: int) -> None:
    """Check that widths can be halved.

    Args:
        widths: the widths, by name.

    Raises:
        ValueError: if a width is odd. The message names the width, its value and the next even number.
    """
    for name, width in widths.items():
        if width % 2:
            raise ValueError(f"{name} must be a multiple of 2 to be halved: got {width}; use {width + 1}.")


class C2f(nn.Module):
    """The CSP block of YOLOv8: split the channels, refine one half in several steps, and merge all steps.

    Args:
        in_channels: width of the input.
        out_channels: width of the output; must be even. Half of it is the width of every step.
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
        steps = list(self.split(x).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            steps.append(bottleneck(steps[-1]))
        return self.merge(torch.cat(steps, dim=1))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions of equal width.

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
    """Fast spatial pyramid pooling: three 5x5 maxima in a chain cover 5, 9 and 13 pixels.

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
        reduced = self.reduce(x)
        pooled_5 = self.pool(reduced)
        pooled_9 = self.pool(pooled_5)
        return self.merge(torch.cat([reduced, pooled_5, pooled_9, self.pool(pooled_9)], dim=1))


class ConvNormAct(nn.Module):
    """Convolution without bias, then batch normalization and SiLU.

    The padding is "same", so only the stride changes height and width.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        kernel_size: side of the kernel in pixels; odd.
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
    """Transposed convolution without bias or overlap, which enlarges the map, then batch normalization and SiLU.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        scale: factor by which height and width grow; also the kernel size and the stride in pixels.

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
    """Replace batch normalization by group normalization (Wu and He 2018) with 8 channels in a group.

    If a batch mixes images of several microscopes or stains, its statistics fit none of them. The same is true for the
    running statistics that a trained network stores.

    Args:
        network: a network of ``ConvNormAct`` and ``ConvTransposeNormAct`` blocks, changed in place. A width that is no
            multiple of 8 becomes one group.

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
