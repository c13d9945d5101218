# SPDX-License-Identifier: Apache-2.0

"""Labels that tell what share of a pixel each class has."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from .spatial import Fit

__all__ = ["FULL_SHARE", "ClassShares", "ClassSharesd", "SharesToIdsd"]

#: the 8-bit share of a class that has a pixel for itself
FULL_SHARE = 255


class ClassShares(Transform):
    """Replace label ids by the share that each foreground class has of a pixel.

    Fitted to another size, ids can only be all or nothing: taken from the nearest pixel they move by up to half a pixel
    of the fitted image, and so do the masks of a network that learns them. Shares keep an outline where it is, to a
    fraction of a pixel. Each class is fitted by itself, as a whole large image for each would fill the memory.

    Args:
        num_classes: K, the background counted.
        spatial_size: (H, W) in pixels that labels are fitted to, as :py:class:`Fit` does with images; None to leave
            their size.
    """

    def __init__(self, num_classes: int, spatial_size: Sequence[int] | int | None = None) -> None:
        self.num_classes = num_classes
        self.fit = Fit(spatial_size) if spatial_size is not None else None

    def __call__(self, label: torch.Tensor) -> torch.Tensor:
        """
        Args:
            label: (1, H, W), ids.

        Returns:
            (K - 1, h, w), uint8, from 0 to :py:data:`FULL_SHARE`.
        """
        whole = ((label == number).to(torch.uint8) * FULL_SHARE for number in range(1, self.num_classes))
        return torch.cat([each if self.fit is None else self.fit(each) for each in whole])


class ClassSharesd(MapTransform):
    """Dictionary form of :py:class:`ClassShares`.

    Args:
        keys: keys of (1, H, W) label ids.
        num_classes: the background counted.
        spatial_size: (H, W) in pixels that each is fitted to; None to leave its size.
        allow_missing_keys: do not raise where a key is missing.
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
        shared = dict(data)
        for key in self.key_iterator(shared):
            shared[key] = self.shares(shared[key])
        return shared


class SharesToIdsd(MapTransform):
    """Go back from :py:class:`ClassShares` to ids: those of the classes that have most of each pixel.

    Args:
        keys: keys of (K - 1, H, W) shares; the result is (1, H, W), uint8.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        chosen = dict(data)
        for key in self.key_iterator(chosen):
            shares = chosen[key].to(torch.int16)
            background = FULL_SHARE - shares.sum(dim=0, keepdim=True, dtype=torch.int16)
            chosen[key] = torch.cat([background, shares]).max(dim=0, keepdim=True).indices.to(torch.uint8)
        return chosen
