# SPDX-License-Identifier: Apache-2.0

"""Augmentation of whole batches, on the device that trains: quick enough that no training step waits for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import list_data_collate
from monai.networks.layers import GaussianFilter
from torch import Tensor

from ..common.errors import InputError
from .soft_labels import FULL_SHARE

__all__ = ["LABEL_MODES", "PADDINGS", "Augment", "AugmentBatch", "collate"]

#: what may move in from outside
PADDINGS = ("zeros", "reflection")
#: how labels are resampled
LABEL_MODES = ("bilinear", "nearest")

# Shapes: B batch, N images of it that one change was drawn for, C channels, K classes, H x W image.


class AugmentBatch:
    """Make the batch that a training step takes: moved to its device, augmented, and in [-1, 1].

    Passed to MONAI's trainers as ``prepare_batch``. Until here most images are 8-bit, a quarter of the memory.

    Args:
        augment: changes a batch of images and labels.
        normalize: from [0, 255] to [-1, 1].
    """

    def __init__(self, augment: Augment, normalize: Callable[[Tensor], Tensor]) -> None:
        self.augment = augment
        self.normalize = normalize

    def __call__(
        self, batch: Mapping[str, Tensor], device: torch.device, non_blocking: bool, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Prepare ``batch["image"]`` (B, C, H, W), 8-bit or float32, and ``batch["label"]`` (B, K - 1, H, W), 8-bit.

        Args:
            batch: what a data loader gives; labels as :py:class:`.soft_labels.ClassShares` makes them.
            device: where the step runs.
            non_blocking: whether the copies may overlap with other work.
            kwargs: further arguments of ``torch.Tensor.to``.

        Returns:
            Images, float32 in [-1, 1], and the share of each class in each pixel, (B, K, H, W), float32.
        """
        image, label = (batch[key].to(device, non_blocking=non_blocking, **kwargs) for key in ("image", "label"))
        image, shares = self.augment(image.float(), label.float() / FULL_SHARE)
        background = (1 - shares.sum(dim=1, keepdim=True)).clamp(min=0)
        return self.normalize(image), torch.cat([background, shares], dim=1)


class Augment:
    """Change each image of a batch in up to four ways, drawn of ten, as published (paper, section "Experiments").

    Flips and changes of pixel values come first. Then one resampling does whatever moves were drawn, bending last and
    the others in their drawn order, where one after another would blur each time. Numbers are drawn from PyTorch's
    generator for the CPU, noise from that of the device.

    Args:
        max_changes: most changes of one image; none to this many are equally likely.
        padding: what moves in from outside: "zeros", as published, or "reflection", the image mirrored at its sides,
            which leaves bright images without dark borders that no image has later.
        label_mode: how labels are resampled: "nearest", as published, or "bilinear", for shares of classes.

    Raises:
        InputError: if there is no such padding or mode, or ``max_changes`` is no number.
    """

    changes = ("flip_rows", "flip_columns", "noise", "blur", "contrast", "scale", "rotate", "shear", "bend", "shift")

    def __init__(self, max_changes: int = 4, padding: str = "zeros", label_mode: str = "nearest") -> None:
        for name, value, choices in (("padding", padding, PADDINGS), ("label_mode", label_mode, LABEL_MODES)):
            if value not in choices:
                raise InputError(f"{name} of the augmentation is {value!r}; use one of {', '.join(choices)}")
        if not isinstance(max_changes, int) or isinstance(max_changes, bool) or max_changes < 0:
            raise InputError(f"max_changes of the augmentation is {max_changes!r}; give a whole number, 0 for none")
        self.max_changes = max_changes
        self.padding = padding
        self.label_mode = label_mode
        self.blur = GaussianFilter(2, sigma=1.0)

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            image: (B, C, H, W), from 0 to 255.
            label: (B, K - 1, H, W), shares of the foreground classes.

        Returns:
            Image and label of the same shapes, ranges and types.
        """
        order = torch.rand(len(image), len(self.changes)).argsort(dim=1).argsort(dim=1)  # rank of each change
        count = torch.randint(self.max_changes + 1, (len(image), 1))
        drawn = dict(zip(self.changes, (order < count).T))
        image, label = image.clone(), label.clone()
        for name, axis in (("flip_rows", 2), ("flip_columns", 3)):
            chosen = _indices(drawn[name], image.device)
            image[chosen], label[chosen] = image[chosen].flip(axis), label[chosen].flip(axis)
        for name, change in (("contrast", _contrast), ("noise", _noise), ("blur", self.blur)):
            chosen = _indices(drawn[name], image.device)
            if len(chosen):
                image[chosen] = change(image[chosen])
        chosen = torch.stack([drawn[name] for name in ("scale", "rotate", "shear", "bend", "shift")]).any(dim=0)
        if chosen.any():
            ranks = {name: order[chosen, column] for column, name in enumerate(self.changes)}
            moves = {name: drawn[name][chosen] for name in drawn}
            height, width = image.shape[2:]
            grid = _grid(moves, ranks, height, width, image.device)
            moved = _indices(chosen, image.device)
            for tensor, mode in ((image, "bilinear"), (label, self.label_mode)):
                tensor[moved] = F.grid_sample(
                    tensor[moved], grid, mode=mode, padding_mode=self.padding, align_corners=False
                )
        return image, label


def collate(items: Sequence[Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]]]) -> Any:
    """Stack images and labels to a batch, also where 8-bit images and deeper ones meet: then all are float32.

    Args:
        items: what a dataset gives: items with an ``image``, or lists of them, such as the crops of an image.
    """
    single = [each for item in items for each in ([item] if isinstance(item, Mapping) else item)]
    if len({each["image"].dtype for each in single}) > 1:
        single = [{**each, "image": each["image"].float()} for each in single]
    return list_data_collate(single)


def _indices(chosen: Tensor, device: torch.device) -> Tensor:
    """Which images were ``chosen`` (B,): indices (N,) on ``device``, found without waiting for it."""
    return chosen.nonzero().flatten().to(device, non_blocking=True)


def _uniform(count: int, *size: int, low: float, high: float) -> Tensor:
    return torch.rand(count, *size) * (high - low) + low


def _contrast(image: Tensor) -> Tensor:
    """Spread or gather each channel's values around their mean by a factor from 0.5 to 1.5.

    The published run does so around mid-gray, which tints dark images: Dice fell by 0.01 on DSB2018 in 10 epochs.
    """
    factor = _uniform(*image.shape[:2], 1, 1, low=0.5, high=1.5).to(image.device, non_blocking=True)
    mean = image.mean((-2, -1), keepdim=True)
    return ((image - mean) * factor + mean).clamp_(0, 255)


def _noise(image: Tensor) -> Tensor:
    """Add noise of 0.005 of the full scale."""
    return image + torch.randn_like(image) * (0.005 * 255)


def _grid(
    moves: Mapping[str, Tensor], ranks: Mapping[str, Tensor], height: int, width: int, device: torch.device
) -> Tensor:
    """Where each pixel of the moved images comes from, as ``grid_sample`` takes it: (N, H, W, 2).

    Args:
        moves: by name, whether an image is moved so: (N,).
        ranks: by name, the place of a move in the image's order: (N,).
        height: H.
        width: W.
        device: where the grid is made; the few numbers that it follows from are drawn on the CPU.
    """
    count = len(moves["scale"])
    turn = math.radians(40) * _uniform(count, low=-1, high=1)
    shear = torch.tan(math.radians(16) * _uniform(count, 2, low=-1, high=1))
    matrices = {name: torch.eye(3).repeat(count, 1, 1) for name in ("scale", "rotate", "shear", "shift")}
    # In pixels from the center, x before y; a matrix says where a pixel of the result comes from.
    matrices["scale"][:, (0, 1), (0, 1)] = 1 / _uniform(count, 2, low=0.5, high=2)
    matrices["rotate"][:, :2, :2] = torch.stack(
        [turn.cos(), turn.sin(), -turn.sin(), turn.cos()], dim=1
    ).unflatten(1, (2, 2))
    matrices["shear"][:, (0, 1), (1, 0)] = shear
    matrices["shift"][:, :2, 2] = _uniform(count, 2, low=-0.2, high=0.2) * torch.tensor([width, height])

    names = list(matrices)
    stacked = torch.stack(list(matrices.values()), dim=1)  # Nx4x3x3
    drawn = torch.stack([moves[name] for name in names], dim=1)  # Nx4
    stacked = torch.where(drawn[..., None, None], stacked, torch.eye(3))
    order = torch.stack([ranks[name] for name in names], dim=1).argsort(dim=1)
    stacked = stacked[torch.arange(count).unsqueeze(1), order]
    moved = stacked[:, 0] @ stacked[:, 1] @ stacked[:, 2] @ stacked[:, 3]

    half = torch.tensor([width / 2, height / 2, 1.0])  # grid_sample counts in half sides
    matrix = (moved * half / half.unsqueeze(1))[:, :2].to(device, non_blocking=True)
    grid = F.affine_grid(matrix, [count, 1, height, width], align_corners=False)
    # Piecewise affine: 4 x 4 points move by 1 to 5 % of a side, and what lies between them follows.
    bend = torch.randn(count, 2, 4, 4) * 2 * _uniform(count, 1, 1, 1, low=0.01, high=0.05)
    bend = (bend * moves["bend"][:, None, None, None]).to(device, non_blocking=True)
    bend = F.interpolate(bend, (height, width), mode="bilinear")
    return grid + bend.permute(0, 2, 3, 1)
