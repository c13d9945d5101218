# SPDX-License-Identifier: Apache-2.0

"""A dataset that replaces images that cannot be read, so that all other images are still segmented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.data import Dataset

from ..common.errors import InputError, explanation, in_one_line
from ..image_io.formats.mask_files import mask_format

__all__ = ["TolerantDataset"]

_PLACEHOLDER = Path(__file__).with_name("black.png")


class TolerantDataset(Dataset):
    """Load images, and replace each image that cannot be read by a small black image.

    Every item has ``"source"``, the path of its image, and ``"problem"``, the reason why the image could not be read,
    which is "" for a readable image.

    Args:
        data: items with the path of an image as ``"image"``.
        transform: a transform that loads an image and prepares it for the network.
    """

    def _transform(self, index: int) -> dict[str, Any]:
        item = {**self.data[index], "source": self.data[index]["image"], "problem": ""}
        try:
            loaded = self.transform(item)
            is_promised_single = "mask" in item and not mask_format(item["mask"]).is_volume
            if loaded["image"].ndim == 4 and is_promised_single:
                raise InputError(f"{item['image']} has several pages or frames; convert it to TIFF, or rename it so")
            return loaded
        except Exception as error:  # MONAI wraps errors in its own types, and a damaged file can cause any error
            problem = explanation(error) or f"{item['image']} cannot be read ({_root_cause(error)}); get a new copy"
            return self.transform({**item, "image": str(_PLACEHOLDER), "problem": problem})


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return in_one_line(error)
