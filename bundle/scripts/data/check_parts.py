# SPDX-License-Identifier: Apache-2.0

"""Parts of the check of a dataset: images that lose their contrast, and classes that the dataset names otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..image_io.intensities import NARROW
from .survey import Facts

__all__ = ["lost_contrast", "other_classes"]

_MOSTLY = 0.5  # share of the pixels of an image's objects


def lost_contrast(usable: Sequence[Facts], intensities: str) -> list[dict[str, Any]]:
    """List the images whose contrast is lost by the way in which their intensities are scaled.

    Args:
        usable: facts of the images that can be read.
        intensities: value of the knob ``intensities``.

    Returns:
        No problem or one, as in the report of :py:func:`.data_check.check_data`.
    """
    if intensities == "min_max":
        files = [image.image for image in usable if image.low < image.high and image.contrast < NARROW]
        text = (
            f"{len(files)} image(s) have a few pixels that stretch their range of intensities, such as hot pixels, a "
            "scale bar or small bright objects, and so leave all else little contrast; if these are no objects, set "
            "--intensities percentiles for a training, or remove them from the images"
        )
    else:
        files = [image.image for image in usable if image.cut_off > _MOSTLY]
        text = (
            f"{len(files)} image(s) have objects so small and bright, or dark, that most of their pixels are cut off "
            "as outliers; set --intensities min_max if these matter"
        )
    return [{"kind": "lost contrast", "fatal": False, "text": text, "files": files}] if files else []


def other_classes(
    facts: Sequence[Facts], class_names: Sequence[str], out_channels: int, training: bool
) -> list[dict[str, Any]]:
    """Say so if the dataset names another number of classes than the network will tell apart.

    Args:
        facts: facts of all images.
        class_names: names of the classes, the background first; empty if the dataset does not name them.
        out_channels: number of classes of the network. The background counts as a class.
        training: whether the data is for a training, which must not begin then.

    Returns:
        No problem or one, as in the report of :py:func:`.data_check.check_data`.
    """
    if len(class_names) in (0, 1, out_channels):
        return []
    text = (
        f"the dataset names {len(class_names)} classes ({', '.join(class_names)}), but out_channels is {out_channels}; "
        f"set --out_channels {len(class_names)}, or correct the labels in its dataset.json"
    )
    return [{"kind": "other classes", "fatal": training, "text": text, "files": [facts[0].image]}]
