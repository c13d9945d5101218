# SPDX-License-Identifier: Apache-2.0

"""Augmentation of whole batches on the training device, so fast that no training step waits for it."""

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

#: how pixels from outside the image are filled
PADDINGS = ("zeros", "reflection")
#: how labels are resampled
LABEL_MODES = ("bilinear", "nearest")

# Shapes: B batch size, N images of the batch that one change applies to, C channels, K classes with the background,
# H x W image in pixels.


class AugmentBatch:
    """Prepare a batch for a training step: move it to the device, augment it, and scale images to [-1, 1].

    MONAI's trainers take it as ``prepare_batch``. Up to here most images are 8-bit, which takes a quarter of the memory
    of float32.

    Args:
        augment: the augmentation of images and labels.
        normalize: a function that scales images from [0, 255] to [-1, 1].
    """

    def __init__(self, augment: Augment, normalize: Callable[[Tensor], Tensor]) -> None:
        self.augment = augment
        self.normalize = normalize

    def __call__(
        self, batch: Mapping[str, Tensor], device: torch.device, non_blocking: bool, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Prepare one batch.

        Args:
            batch: a batch from a data loader. ``"image"`` is (B, C, H, W), uint8 or float32, in [0, 255].
                ``"label"`` is (B, K - 1, H, W) uint8, as :py:class:`.soft_labels.ClassShares` returns it.
            device: the device that the training step runs on.
            non_blocking: whether copies to the device may overlap with other work.
            kwargs: further arguments of ``torch.Tensor.to``.

        Returns:
            Images (B, C, H, W) float32 in [-1, 1], and the share of each class in each pixel, (B, K, H, W) float32.
        """
        image, label = (batch[key].to(device, non_blocking=non_blocking, **kwargs) for key in ("image", "label"))
        image, shares = self.augment(image.float(), label.float() / FULL_SHARE)
        background = (1 - shares.sum(dim=1, keepdim=True)).clamp(min=0)
        return self.normalize(image), torch.cat([background, shares], dim=1)


class Augment:
    """Apply up to four random changes out of ten to each image, as published (paper, section "Experiments").

    Flips and changes of pixel values come first. Then a single resampling applies all geometric changes together, since
    several would blur the image several times. Bending comes last, the other geometric changes in random order. Random
    numbers come from PyTorch's CPU generator, noise from the generator of the device.

    Args:
        max_changes: largest number of changes to one image. All numbers from 0 to this are equally likely.
        padding: how pixels from outside the image are filled: "zeros", as published, or "reflection", which mirrors the
            image at its sides. Reflection avoids dark borders in bright images, which real images do not have.
        label_mode: how labels are resampled: "nearest", as published, or "bilinear", for shares of classes.

    Raises:
        InputError: if ``padding`` or ``label_mode`` is unknown, or ``max_changes`` is no whole number of at least 0.
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
            image: (B, C, H, W) float32 in [0, 255].
            label: (B, K - 1, H, W) float32, the shares of the foreground classes in [0, 1].

        Returns:
            Image and label with the same shapes, ranges and dtypes.
        """
        order = torch.rand(len(image), len(self.changes)).argsort(dim=1).argsort(dim=1)  # rank of each change
        count = torch.randint(self.max_changes + 1, (len(image), 1))
        selection = dict(zip(self.changes, (order < count).T))  # by change, whether it applies to an image: (B,)
        image, label = image.clone(), label.clone()
        for name, axis in (("flip_rows", 2), ("flip_columns", 3)):
            indices = _indices(selection[name], image.device)
            image[indices], label[indices] = image[indices].flip(axis), label[indices].flip(axis)
        for name, change in (("contrast", _contrast), ("noise", _noise), ("blur", self.blur)):
            indices = _indices(selection[name], image.device)
            if len(indices):
                image[indices] = change(image[indices])
        moving = torch.stack([selection[name] for name in ("scale", "rotate", "shear", "bend", "shift")]).any(dim=0)
        if moving.any():
            ranks = {name: order[moving, column] for column, name in enumerate(self.changes)}
            moves = {name: selection[name][moving] for name in selection}
            height, width = image.shape[2:]
            grid = _grid(moves, ranks, height, width, image.device)
            indices = _indices(moving, image.device)
            for tensor, mode in ((image, "bilinear"), (label, self.label_mode)):
                tensor[indices] = F.grid_sample(
                    tensor[indices], grid, mode=mode, padding_mode=self.padding, align_corners=False
                )
        return image, label


def collate(items: Sequence[Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]]]) -> Any:
    """Stack images and labels to a batch. If image dtypes differ, such as uint8 and float32, all become float32.

    Args:
        items: items of a dataset: dictionaries with ``"image"``, or lists of them, such as the crops of an image.

    Returns:
        A dictionary of stacked tensors (B, ...).
    """
    samples = [sample for item in items for sample in ([item] if isinstance(item, Mapping) else item)]
    if len({sample["image"].dtype for sample in samples}) > 1:
        samples = [{**sample, "image": sample["image"].float()} for sample in samples]
    return list_data_collate(samples)


def _indices(selection: Tensor, device: torch.device) -> Tensor:
    """Return the indices (N,) of selected images, from bool (B,) on the CPU; does not wait for ``device``."""
    return selection.nonzero().flatten().to(device, non_blocking=True)


def _uniform(count: int, *size: int, low: float, high: float) -> Tensor:
    return torch.rand(count, *size) * (high - low) + low


def _contrast(image: Tensor) -> Tensor:
    """Scale the contrast of each channel around its mean, by a factor from 0.5 to 1.5.

    The published run scales around mid-gray, which tints dark images: Dice on DSB2018 fell by 0.01 in 10 epochs.
    """
    factor = _uniform(*image.shape[:2], 1, 1, low=0.5, high=1.5).to(image.device, non_blocking=True)
    mean = image.mean((-2, -1), keepdim=True)
    return ((image - mean) * factor + mean).clamp_(0, 255)


def _noise(image: Tensor) -> Tensor:
    """Add Gaussian noise with a standard deviation of 0.005 of the full scale of 255."""
    return image + torch.randn_like(image) * (0.005 * 255)


def _grid(
    moves: Mapping[str, Tensor], ranks: Mapping[str, Tensor], height: int, width: int, device: torch.device
) -> Tensor:
    """Compute the source position of every pixel, for ``grid_sample``.

    Args:
        moves: by name of a geometric change, whether it applies to an image: bool (N,).
        ranks: by name, the rank of the change in the image's random order: int (N,).
        height: H in pixels.
        width: W in pixels.
        device: device of the grid. The few random numbers it depends on are drawn on the CPU.

    Returns:
        Grid (N, H, W, 2) float32; -1 and 1 are the borders of the image.
    """
    count = len(moves["scale"])
    turn = math.radians(40) * _uniform(count, low=-1, high=1)
    shear = torch.tan(math.radians(16) * _uniform(count, 2, low=-1, high=1))
    matrices = {name: torch.eye(3).repeat(count, 1, 1) for name in ("scale", "rotate", "shear", "shift")}
    # Units are pixels from the center, x before y. A matrix maps a pixel of the result to its source position.
    matrices["scale"][:, (0, 1), (0, 1)] = 1 / _uniform(count, 2, low=0.5, high=2)
    matrices["rotate"][:, :2, :2] = torch.stack(
        [turn.cos(), turn.sin(), -turn.sin(), turn.cos()], dim=1
    ).unflatten(1, (2, 2))
    matrices["shear"][:, (0, 1), (1, 0)] = shear
    matrices["shift"][:, :2, 2] = _uniform(count, 2, low=-0.2, high=0.2) * torch.tensor([width, height])

    names = list(matrices)
    stacked = torch.stack(list(matrices.values()), dim=1)  # Nx4x3x3
    selection = torch.stack([moves[name] for name in names], dim=1)  # Nx4
    stacked = torch.where(selection[..., None, None], stacked, torch.eye(3))
    order = torch.stack([ranks[name] for name in names], dim=1).argsort(dim=1)
    stacked = stacked[torch.arange(count).unsqueeze(1), order]
    product = stacked[:, 0] @ stacked[:, 1] @ stacked[:, 2] @ stacked[:, 3]

    half = torch.tensor([width / 2, height / 2, 1.0])  # the unit of grid_sample is half a side
    matrix = (product * half / half.unsqueeze(1))[:, :2].to(device, non_blocking=True)
    grid = F.affine_grid(matrix, [count, 1, height, width], align_corners=False)
    # Piecewise affine: 4 x 4 points move by 1 to 5 % of a side, and pixels between them are interpolated.
    bend = torch.randn(count, 2, 4, 4) * 2 * _uniform(count, 1, 1, 1, low=0.01, high=0.05)
    bend = (bend * moves["bend"][:, None, None, None]).to(device, non_blocking=True)
    bend = F.interpolate(bend, (height, width), mode="bilinear")
    return grid + bend.permute(0, 2, 3, 1)
