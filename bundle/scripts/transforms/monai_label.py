# SPDX-License-Identifier: Apache-2.0

"""Convert masks to the form that MONAI Label's own monaibundle app expects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["ForMonaiLabeld"]


class ForMonaiLabeld(MapTransform):
    """Convert label ids for the stock app of MONAI Label, which expects columns first and no channel axis.

    The app compares the size of the mask with the image's ``spatial_shape``, so that is transposed too. The app writes
    the mask with the suffix of the image. JPEG would blur label ids, so masks of JPEG images are written as PNG unless
    the client sets a suffix.

    Args:
        keys: keys of label ids (1, H, W) or (1, H, W, D), which become (W, H) or (W, H, D).
        image_key: key of the image.
    """

    def __init__(self, keys: KeysCollection, image_key: str) -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        output = dict(data)
        height, width, *depth = output[self.image_key].meta["spatial_shape"]
        output[self.image_key].meta["spatial_shape"] = [width, height, *depth]
        for key in self.key_iterator(output):  # on the CPU, because the app's writers convert tensors to NumPy arrays
            output[key] = torch.as_tensor(output[key]).cpu()[0].transpose(0, 1).contiguous()
        if str(output.get("image_path")).lower().endswith((".jpg", ".jpeg")):
            output["result_extension"] = output.get("result_extension") or ".png"
        return output
