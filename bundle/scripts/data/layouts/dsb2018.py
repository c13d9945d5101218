# SPDX-License-Identifier: Apache-2.0

"""The layout of the Data Science Bowl 2018, as first released."""

from __future__ import annotations

from os import PathLike

from ...common.errors import InputError
from .files import Item, dataset_folder, folder_of, image_files, is_visible

__all__ = ["from_dsb2018"]

_TREE = """
  <dataset_dir>/stage1_train/<id>/images/<id>.png
  <dataset_dir>/stage1_train/<id>/masks/*.png"""


def from_dsb2018(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the images. An image has one mask file per nucleus; they are read as the parts of one mask.

    Args:
        dataset_dir: folder that holds ``stage1_train``.

    Returns:
        Items ``{"image": path, "label": [path, ...]}``, sorted by id.

    Raises:
        InputError: if the folder has another layout.
    """
    folder = dataset_folder(dataset_dir, _TREE)
    if folder.name == "stage1_train" and not (folder / "stage1_train").is_dir():
        raise InputError(f"{folder} is a part of the dataset; give its parent, {folder.parent}, as --dataset_dir")
    train = folder_of(folder, "stage1_train", tree=_TREE)
    items = []
    for sample in sorted(path for path in train.iterdir() if is_visible(path) and path.is_dir()):
        images, masks = (image_files(folder_of(sample, name, tree=_TREE)) for name in ("images", "masks"))
        if len(images) > 1:
            raise InputError(f"{sample / 'images'} has {len(images)} images; expected is one, {sample.name}.png")
        items.append({"image": str(images[0]), "label": [str(mask) for mask in masks]})
    if not items:
        raise InputError(f"{train} is empty; expected is{_TREE}")
    return items
