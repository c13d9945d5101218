# SPDX-License-Identifier: Apache-2.0

"""Scaling of intensities: one image, or one slice, to the range that the network expects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor

__all__ = ["FullScale", "MinMax", "MinMaxd", "Stretchd"]


class Stretchd(MapTransform):
    """Stretch the intensities of a whole image to [0, 255], so that all windows of it are scaled alike.

    8-bit images stay 8-bit, a quarter of the memory; the rest becomes float32. A constant image becomes 0.

    Args:
        keys: keys of (C, H, W) tensors, all channels of which are stretched together, or of (C, H, W, D), each slice of
            which is stretched by itself.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        stretched = dict(data)
        for key in self.key_iterator(stretched):
            image = stretched[key]
            if image.ndim == 4:
                stretched[key] = torch.stack([_stretched(each) for each in image.unbind(-1)], dim=-1)
            else:
                stretched[key] = _stretched(image)
        return stretched


def _stretched(image: Tensor) -> Tensor:
    low, high = float(image.min()), float(image.max())
    factor = 255 / (high - low) if high > low else 0.0
    if image.dtype != torch.uint8:
        return (image.float() - low) * factor
    table = ((torch.arange(256) - low) * factor).round().clamp(0, 255).to(torch.uint8)
    stretched = torch.empty_like(image)
    for row in range(image.shape[1]):  # one by one, as indices take eight times the memory
        stretched[:, row] = table[image[:, row].int()]
    return stretched


class FullScale:
    """From [0, 255] to the network's [-1, 1], float32."""

    def __call__(self, image: Tensor) -> Tensor:
        """
        Args:
            image: of any shape; any numeric dtype.
        """
        return image.to(torch.float32, copy=True).div_(127.5).sub_(1.0)


class MinMax(Transform):
    """Scale the intensities of one image so that its minimum becomes -1 and its maximum 1, all channels together.

    :py:class:`monai.transforms.ScaleIntensity` multiplies a constant image by ``minv`` instead: a white 8-bit image
    would become -255. Here a constant image becomes -1 everywhere.
    """

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), or (B, C, H, W) for a batch of images; any numeric dtype.

        Returns:
            float32 in [-1, 1], of the same shape.
        """
        one_image = (-3, -2, -1)  # amin and amax use all lanes of a CPU here, aminmax takes 20 times as long
        low, high = img.amin(one_image, keepdim=True).float(), img.amax(one_image, keepdim=True).float()
        factor = torch.where(high > low, 2.0 / (high - low), 0.0)
        return img.to(torch.float32, copy=True).sub_(low).mul_(factor).sub_(1.0)


class MinMaxd(MapTransform):
    """Dictionary form of :py:class:`MinMax`.

    Args:
        keys: keys of (C, H, W) tensors, or (C, H, W, D), each slice of which is scaled by itself.
        allow_missing_keys: do not raise where a key is missing.
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
