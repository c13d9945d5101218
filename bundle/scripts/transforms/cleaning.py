# SPDX-License-Identifier: Apache-2.0

"""Clean masks by what is known of the objects: that they have no holes, are one, or are not so small."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes
from skimage.measure import label

from ..common.errors import InputError

__all__ = ["NO_CLEANING", "Cleand", "clean"]

#: settings that leave masks as they are
NO_CLEANING: dict[str, Any] = {"fill_holes": False, "largest_component": False, "smallest_object": 0}


def clean(
    ids: NDArray[np.uint8], *, fill_holes: bool, largest_component: bool, smallest_object: int
) -> NDArray[np.uint8]:
    """Clean a mask, class by class.

    Args:
        ids: (H, W) label ids.
        fill_holes: background that an object encloses, once all else is cleaned, becomes the object's.
        largest_component: of each class only the largest connected area stays.
        smallest_object: connected areas of fewer pixels become background.

    Returns:
        (H, W) label ids.
    """
    cleaned = ids.copy()
    for number in np.unique(ids[ids > 0]).tolist() if largest_component or smallest_object > 1 else []:
        areas = label(ids == number, connectivity=2)
        counts = np.bincount(areas.ravel())
        counts[0] = 0
        kept = counts >= smallest_object
        if largest_component:
            kept &= np.arange(len(counts)) == counts.argmax()
        kept[0] = True  # what is not of this class stays
        cleaned[~kept[areas]] = 0
    return _without_holes(cleaned) if fill_holes else cleaned


def _without_holes(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give each hole to the class around it: where objects lie in one another, to the inner one."""
    filled, background = ids.copy(), ids == 0
    holes = label(background, connectivity=1)  # an object is connected over corners, so background is not
    for number in np.unique(ids[~background]).tolist():
        enclosed = background & binary_fill_holes(ids == number)
        beside = np.unique(holes[enclosed & binary_dilation(ids == number)])
        filled[enclosed & np.isin(holes, beside)] = number
    return filled


class Cleand(MapTransform):
    """Clean predicted label ids, of a volume slice by slice.

    Args:
        keys: keys of (K, H, W) or (K, H, W, D) tensors, whose first channel is label ids.
        settings: those of :py:func:`clean`.
        allow_missing_keys: do not raise where a key is missing.

    Raises:
        InputError: if a setting is none.
    """

    def __init__(self, keys: KeysCollection, settings: Mapping[str, Any], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        smallest = settings["smallest_object"]
        if not isinstance(smallest, int) or isinstance(smallest, bool) or smallest < 0:
            raise InputError(f"smallest_object is {smallest!r}; give a whole number of pixels, at least 0")
        self.settings = dict(settings)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        cleaned = dict(data)
        if self.settings == NO_CLEANING:
            return cleaned
        for key in self.key_iterator(cleaned):
            pred = cleaned[key].clone()
            for ids in [pred[0]] if pred.ndim == 3 else pred[0].unbind(-1):
                found = clean(np.asarray(ids.cpu()).astype(np.uint8), **self.settings)
                ids.copy_(torch.from_numpy(found))
            cleaned[key] = pred
        return cleaned
