# SPDX-License-Identifier: Apache-2.0

"""Find images in which a few pixels take the contrast of all others, before a network sees them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..image_io.intensities import has_outliers

__all__ = ["OUTLIERS", "FindOutliersd"]

#: key of an item that says whether its image has outliers
OUTLIERS = "has_outliers"


class FindOutliersd(MapTransform):
    """Note under :py:data:`OUTLIERS` whether an image has outliers that its network was not trained to ignore.

    Networks with the intensities "min_max" lose objects in such images. :py:class:`.save_masks.SaveMasks` names them.

    Args:
        keys: key of the image, (C, H, W), or of the volume, (C, H, W, D), which has outliers if one of its slices has.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        noted = dict(data)
        for key in self.key_iterator(noted):
            image = noted[key].numpy()
            slices = [image] if image.ndim == 3 else list(image.transpose(3, 0, 1, 2))
            noted[OUTLIERS] = any(has_outliers(section) for section in slices)
        return noted
