# SPDX-License-Identifier: Apache-2.0

"""Clean masks by prior knowledge of the objects: they have no holes, there is only one, or they have a minimum size."""

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
        ids: (H, W) uint8 label ids.
        fill_holes: whether background that an object encloses becomes part of the object. This is the last step.
        largest_component: whether only the largest connected area of each class stays.
        smallest_object: size in pixels; smaller connected areas become background.

    Returns:
        (H, W) uint8 label ids.
    """
    cleaned = ids.copy()
    for number in np.unique(ids[ids > 0]).tolist() if largest_component or smallest_object > 1 else []:
        areas = label(ids == number, connectivity=2)
        counts = np.bincount(areas.ravel())
        counts[0] = 0
        stays = counts >= smallest_object
        if largest_component:
            stays &= np.arange(len(counts)) == counts.argmax()
        stays[0] = True  # area 0 is all pixels of other classes, which do not change
        cleaned[~stays[areas]] = 0
    return _without_holes(cleaned) if fill_holes else cleaned


def _without_holes(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Assign each hole to the class around it. Where an object encloses another, the inner object gets the hole."""
    filled, background = ids.copy(), ids == 0
    holes = label(background, connectivity=1)  # objects connect over corners, so background must not
    for number in np.unique(ids[~background]).tolist():
        enclosed = background & binary_fill_holes(ids == number)
        adjacent = np.unique(holes[enclosed & binary_dilation(ids == number)])
        filled[enclosed & np.isin(holes, adjacent)] = number
    return filled


class Cleand(MapTransform):
    """Clean predicted label ids of images, and of volumes slice by slice.

    Args:
        keys: keys of (K, H, W) or (K, H, W, D) tensors, whose first channel holds label ids.
        settings: the keyword arguments of :py:func:`clean`.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.

    Raises:
        InputError: if ``smallest_object`` is no whole number of at least 0.
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
                cleaned_ids = clean(np.asarray(ids.cpu()).astype(np.uint8), **self.settings)
                ids.copy_(torch.from_numpy(cleaned_ids))
            cleaned[key] = pred
        return cleaned
