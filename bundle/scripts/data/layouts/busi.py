# SPDX-License-Identifier: Apache-2.0

"""The layout of BUSI, breast ultrasound images (Al-Dhabyani et al. 2020), as released."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from ...common.errors import InputError
from .files import Item, check_stems, dataset_folder, folder_of, image_files

__all__ = ["from_busi"]

_TREE = """
  <dataset_dir>/benign/benign (1).png
  <dataset_dir>/benign/benign (1)_mask.png    (and _mask_1, _mask_2, ... where there are more lesions)
  <dataset_dir>/malignant/..., <dataset_dir>/normal/..."""
_MASK = re.compile(r"(?P<image>.+)_mask(_\d+)?")


def from_busi(dataset_dir: str | PathLike[str] | None, *, normal: bool = False) -> list[Item]:
    """List the images. An image has one or more mask files, which are read as the parts of one mask.

    Args:
        dataset_dir: folder that holds ``benign`` and ``malignant``.
        normal: whether to add the images of ``normal``, whose masks are empty.

    Returns:
        Items ``{"image": path, "label": [path, ...], "stratum": class}``, class by class, and sorted by name within a
        class.

    Raises:
        InputError: if the folder has another layout, an image has no mask, or a mask has no image.
    """
    folder = dataset_folder(dataset_dir, _TREE)
    if (folder / "Dataset_BUSI_with_GT").is_dir():
        raise InputError(f"{folder} holds the dataset; give {folder / 'Dataset_BUSI_with_GT'} as --dataset_dir")
    names = ("benign", "malignant", "normal") if normal else ("benign", "malignant")
    return [item for name in names for item in _one_class(folder_of(folder, name, tree=_TREE))]


def _one_class(folder: Path) -> list[Item]:
    files = image_files(folder)
    check_stems(files)
    matches = {path: _MASK.fullmatch(path.stem) for path in files}
    masks: dict[str, list[str]] = {path.stem: [] for path, match in matches.items() if match is None}
    for path, match in matches.items():
        if match is not None:
            if match["image"] not in masks:
                raise InputError(f"{path} has no image {match['image']}.png beside it; add it, or remove the mask")
            masks[match["image"]].append(str(path))
    items = []
    for path in (path for path, match in matches.items() if match is None):
        if not masks[path.stem]:
            raise InputError(f"{path} has no mask {path.stem}_mask.png beside it; add it, or remove the image")
        items.append({"image": str(path), "label": masks[path.stem], "stratum": folder.name})
    return items
