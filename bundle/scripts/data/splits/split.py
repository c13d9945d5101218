# SPDX-License-Identifier: Apache-2.0

"""What a split is: folds of a dataset, each with images to train on, to choose the epoch on, and to score."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...common.files import given_path

__all__ = ["Fold", "Split", "relative_names"]


@dataclass(frozen=True)
class Fold:
    """One division of the images, by their positions in the datalist.

    Attributes:
        train: what is trained on.
        validate: what the epoch is chosen on.
        test: what is scored; under the paper's protocol the same as ``validate``.
    """

    train: list[int]
    validate: list[int]
    test: list[int]


@dataclass(frozen=True)
class Split:
    """Folds of a dataset.

    Attributes:
        folds: the division, by position in the datalist.
        groups: of every image, by name.
        images: paths relative to the dataset's folder, as the file has them.
    """

    folds: list[Fold]
    groups: list[str]
    images: list[str]

    @property
    def digest(self) -> str:
        """Of what is trained on, validated and tested in each fold: equal for equal splits."""
        return hashlib.sha256(json.dumps(self.by_name()).encode()).hexdigest()[:12]

    def by_name(self) -> list[dict[str, list[str]]]:
        """Each fold's parts, as lists of image names."""
        return [{part: [self.images[i] for i in each] for part, each in asdict(fold).items()} for fold in self.folds]


def relative_names(datalist: Sequence[Mapping[str, Any]], root: str | os.PathLike[str]) -> list[str]:
    """Names of the images that hold on another machine too: their paths in the dataset's folder.

    Args:
        datalist: items whose ``"image"`` is a path.
        root: the dataset's folder.

    Returns:
        The names, in the order given, with ``/`` between folders.
    """
    base = given_path(root)
    return [Path(os.path.relpath(item["image"], base)).as_posix() for item in datalist]
