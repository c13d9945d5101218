# SPDX-License-Identifier: Apache-2.0

"""A dataset that goes on where an image cannot be read, so that the others are segmented all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.data import Dataset

from ..common.errors import InputError, explanation, in_one_line
from ..image_io.mask_files import mask_format

__all__ = ["TolerantDataset"]

_STANDS_IN = Path(__file__).with_name("black.png")


class TolerantDataset(Dataset):
    """Load images; a small black one stands in for each that cannot be read.

    Every item has ``"source"``, the path of its image, and ``"problem"``: why it could not be read, or "" if it could.

    Args:
        data: items of ``"image"``, a path.
        transform: loads an image, and makes of it what the network takes.
    """

    def _transform(self, index: int) -> dict[str, Any]:
        item = {**self.data[index], "source": self.data[index]["image"], "problem": ""}
        try:
            loaded = self.transform(item)
            is_promised_single = "mask" in item and not mask_format(item["mask"]).is_volume
            if loaded["image"].ndim == 4 and is_promised_single:
                raise InputError(f"{item['image']} has several pages or frames; convert it to TIFF, or rename it so")
            return loaded
        except Exception as error:  # MONAI raises errors of its own around ours; and a file can be damaged in any way
            problem = explanation(error) or f"{item['image']} cannot be read ({_innermost(error)}); get a new copy"
            return self.transform({**item, "image": str(_STANDS_IN), "problem": problem})


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return in_one_line(error)
