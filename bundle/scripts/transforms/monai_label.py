# SPDX-License-Identifier: Apache-2.0

"""Masks in the form that the stock app of MONAI Label expects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["ForMonaiLabeld"]


class ForMonaiLabeld(MapTransform):
    """Hand on label ids as the stock app of MONAI Label takes them: columns first, without a channel.

    It compares sizes with the image's ``spatial_shape``, which is turned too. It writes them with the suffix of the
    image; JPEG would blur them, so they become PNG unless the client asks for a suffix.

    Args:
        keys: keys of (1, H, W) or (1, H, W, D) label ids, which become (W, H) or (W, H, D).
        image_key: key of the image.
    """

    def __init__(self, keys: KeysCollection, image_key: str) -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        turned = dict(data)
        height, width, *depth = turned[self.image_key].meta["spatial_shape"]
        turned[self.image_key].meta["spatial_shape"] = [width, height, *depth]
        for key in self.key_iterator(turned):  # on the CPU: writers make NumPy arrays of plain tensors
            turned[key] = torch.as_tensor(turned[key]).cpu()[0].transpose(0, 1).contiguous()
        if str(turned.get("image_path")).lower().endswith((".jpg", ".jpeg")):
            turned["result_extension"] = turned.get("result_extension") or ".png"
        return turned
