# SPDX-License-Identifier: Apache-2.0

"""Scale the intensities of an image or a slice to the range that the network expects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor

__all__ = ["FullScale", "MinMax", "MinMaxd", "Stretchd"]


class Stretchd(MapTransform):
    """Stretch the intensities of a whole image to [0, 255], so that all its windows are scaled in the same way.

    8-bit images stay 8-bit, which takes a quarter of the memory; other images become float32. A constant image becomes
    0.

    Args:
        keys: keys of images (C, H, W), whose channels are stretched together, or of volumes (C, H, W, D), whose slices
            are stretched separately.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        stretched = dict(data)
        for key in self.key_iterator(stretched):
            image = stretched[key]
            if image.ndim == 4:
                stretched[key] = torch.stack([_stretch(section) for section in image.unbind(-1)], dim=-1)
            else:
                stretched[key] = _stretch(image)
        return stretched


def _stretch(image: Tensor) -> Tensor:
    low, high = float(image.min()), float(image.max())
    factor = 255 / (high - low) if high > low else 0.0
    if image.dtype != torch.uint8:
        return (image.float() - low) * factor
    table = ((torch.arange(256) - low) * factor).round().clamp(0, 255).to(torch.uint8)
    stretched = torch.empty_like(image)
    for row in range(image.shape[1]):  # row by row, because indices take eight times the memory
        stretched[:, row] = table[image[:, row].int()]
    return stretched


class FullScale:
    """Scale intensities from [0, 255] to the network's range [-1, 1]."""

    def __call__(self, image: Tensor) -> Tensor:
        """
        Args:
            image: tensor of any shape and numeric dtype, in [0, 255].

        Returns:
            float32 in [-1, 1], of the same shape.
        """
        return image.to(torch.float32, copy=True).div_(127.5).sub_(1.0)


class MinMax(Transform):
    """Scale the intensities of an image so that its minimum becomes -1 and its maximum 1, over all channels.

    A constant image becomes -1 everywhere. :py:class:`monai.transforms.ScaleIntensity` multiplies it by ``minv``
    instead, so a white 8-bit image would become -255.
    """

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: an image (C, H, W), or a batch of images (B, C, H, W), each scaled by itself; any numeric dtype.

        Returns:
            float32 in [-1, 1], of the same shape.
        """
        axes = (-3, -2, -1)  # amin and amax are vectorized over these; aminmax takes 20 times as long
        low, high = img.amin(axes, keepdim=True).float(), img.amax(axes, keepdim=True).float()
        factor = torch.where(high > low, 2.0 / (high - low), 0.0)
        return img.to(torch.float32, copy=True).sub_(low).mul_(factor).sub_(1.0)


class MinMaxd(MapTransform):
    """Dictionary form of :py:class:`MinMax`.

    Args:
        keys: keys of images (C, H, W), or of volumes (C, H, W, D), whose slices are scaled separately.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.min_max = MinMax()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        scaled = dict(data)
        for key in self.key_iterator(scaled):
            image = scaled[key]  # (C, H, W), or (C, H, W, D)
            slices = image.movedim(-1, 0) if image.ndim == 4 else image
            scaled[key] = self.min_max(slices).movedim(0, -1) if image.ndim == 4 else self.min_max(slices)
        return scaled
