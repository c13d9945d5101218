# SPDX-License-Identifier: Apache-2.0

"""The layout of BKAI-IGH NeoPolyp-Small, as released for its challenge."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from .files import Item, dataset_folder, folder_of, pairs

__all__ = ["from_bkai"]

_TREE = """
  <dataset_dir>/train/train/<id>.jpeg
  <dataset_dir>/train_gt/train_gt/<id>.jpeg"""


def from_bkai(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the 1000 images that have masks. The images of ``test`` have none.

    Args:
        dataset_dir: folder that holds ``train`` and ``train_gt``.

    Returns:
        Items ``{"image": path, "label": path}``, sorted by name. The masks are in colors: red for neoplastic polyps,
        green for non-neoplastic ones.

    Raises:
        InputError: if the folder has another layout, an image has no mask, or a mask has no image.
    """
    folder = dataset_folder(dataset_dir, _TREE)
    return pairs(_inner(folder, "train"), _inner(folder, "train_gt"))


def _inner(folder: Path, name: str) -> Path:
    """Return the folder with the files. The archive of the release nests it in a folder of the same name."""
    outer = folder_of(folder, name, tree=_TREE)
    return outer / name if (outer / name).is_dir() else outer
