# SPDX-License-Identifier: Apache-2.0

"""BKAI-IGH NeoPolyp-Small, as released for its challenge."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from .files import Item, dataset_folder, folder_of, pairs

__all__ = ["from_bkai"]

_TREE = """
  <dataset_dir>/train/train/<id>.jpeg
  <dataset_dir>/train_gt/train_gt/<id>.jpeg"""


def from_bkai(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """The 1000 images that have masks; those of ``test`` have none.

    Args:
        dataset_dir: folder that holds ``train`` and ``train_gt``.

    Returns:
        ``{"image": path, "label": path}`` sorted by name; masks are colors, red neoplastic, green non-neoplastic.

    Raises:
        InputError: if the layout is another, or a name has no partner.
    """
    folder = dataset_folder(dataset_dir, _TREE)
    return pairs(_inner(folder, "train"), _inner(folder, "train_gt"))


def _inner(folder: Path, name: str) -> Path:
    """The archive nests each folder in one of the same name."""
    outer = folder_of(folder, name, tree=_TREE)
    return outer / name if (outer / name).is_dir() else outer
