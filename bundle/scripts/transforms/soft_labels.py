# SPDX-License-Identifier: Apache-2.0

"""Soft labels, which hold the share of each class in a pixel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from .spatial import Fit

__all__ = ["FULL_SHARE", "ClassShares", "ClassSharesd", "SharesToIdsd"]

#: the 8-bit share of a class that covers a whole pixel
FULL_SHARE = 255


class ClassShares(Transform):
    """Replace label ids by the share of each foreground class in a pixel.

    When label ids are resized, each pixel gets the id of the nearest pixel. This moves outlines by up to half a pixel
    of the resized image, and a network that learns from them moves its masks likewise. Shares keep the outline to a
    fraction of a pixel. One class is resized at a time, because full-size maps of all classes could fill the memory.

    Args:
        num_classes: number of classes K, including the background.
        spatial_size: (H, W) in pixels that labels are fitted to, as :py:class:`Fit` does with images. None keeps their
            size.
    """

    def __init__(self, num_classes: int, spatial_size: Sequence[int] | int | None = None) -> None:
        self.num_classes = num_classes
        self.fit = Fit(spatial_size) if spatial_size is not None else None

    def __call__(self, label: torch.Tensor) -> torch.Tensor:
        """
        Args:
            label: label ids (1, H, W).

        Returns:
            Shares (K - 1, h, w) uint8, from 0 to :py:data:`FULL_SHARE`, where h x w is the fitted size.
        """
        masks = ((label == number).to(torch.uint8) * FULL_SHARE for number in range(1, self.num_classes))
        return torch.cat([mask if self.fit is None else self.fit(mask) for mask in masks])


class ClassSharesd(MapTransform):
    """Dictionary form of :py:class:`ClassShares`.

    Args:
        keys: keys of label ids (1, H, W).
        num_classes: number of classes, including the background.
        spatial_size: (H, W) in pixels that labels are fitted to; None keeps their size.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.
    """

    def __init__(
        self,
        keys: KeysCollection,
        num_classes: int,
        spatial_size: Sequence[int] | int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.shares = ClassShares(num_classes, spatial_size)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        output = dict(data)
        for key in self.key_iterator(output):
            output[key] = self.shares(output[key])
        return output


class SharesToIdsd(MapTransform):
    """Turn the shares of :py:class:`ClassShares` back into label ids: the class with the largest share of each pixel.

    Args:
        keys: keys of shares (K - 1, H, W) uint8; the result is label ids (1, H, W) uint8.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        output = dict(data)
        for key in self.key_iterator(output):
            shares = output[key].to(torch.int16)
            background = FULL_SHARE - shares.sum(dim=0, keepdim=True, dtype=torch.int16)
            output[key] = torch.cat([background, shares]).max(dim=0, keepdim=True).indices.to(torch.uint8)
        return output
