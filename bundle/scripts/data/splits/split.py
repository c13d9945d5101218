# SPDX-License-Identifier: Apache-2.0

"""The split of a dataset into folds. Every fold has images to train on, to choose the epoch on, and to score."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...common.files import user_path

__all__ = ["Fold", "Split", "relative_names"]


@dataclass(frozen=True)
class Fold:
    """One division of the images, by their positions in the datalist.

    Attributes:
        train: images to train on.
        validate: images to choose the epoch on.
        test: images to score. Under the paper's protocol they are the same as ``validate``.
    """

    train: list[int]
    validate: list[int]
    test: list[int]


@dataclass(frozen=True)
class Split:
    """The folds of a dataset.

    Attributes:
        folds: the folds.
        groups: name of the group of every image, in the order of the datalist.
        images: path of every image relative to the dataset's folder, as in a split file.
    """

    folds: list[Fold]
    groups: list[str]
    images: list[str]

    @property
    def digest(self) -> str:
        """A digest of the images in all parts of all folds. Equal splits have equal digests."""
        return hashlib.sha256(json.dumps(self.by_name()).encode()).hexdigest()[:12]

    def by_name(self) -> list[dict[str, list[str]]]:
        """Return the parts of every fold as lists of image names."""
        return [
            {part: [self.images[i] for i in positions] for part, positions in asdict(fold).items()}
            for fold in self.folds
        ]


def relative_names(datalist: Sequence[Mapping[str, Any]], root: str | os.PathLike[str]) -> list[str]:
    """Name the images by their paths in the dataset's folder. These names are the same on another machine.

    Args:
        datalist: items whose ``"image"`` is a path.
        root: path of the dataset's folder.

    Returns:
        The names, in the order of ``datalist``, with ``/`` between folders.
    """
    base = user_path(root)
    return [Path(os.path.relpath(item["image"], base)).as_posix() for item in datalist]
