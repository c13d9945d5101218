# SPDX-License-Identifier: Apache-2.0

"""The dataset of a run: the survey of its images, their division into folds, and the images of one fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..image_io.readers import ImageFileReader, MaskFileReader
from .duplicates import NearDuplicates, near_duplicates
from .layouts.files import Item
from .layouts.registry import LAYOUTS, read_layout
from .splits.choose import choose_fold, split_images
from .splits.leaks import find_leaks
from .splits.split import Split
from .survey import Facts, survey_images

__all__ = ["Dataset", "DividedData"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images and their masks. Every property is computed at its first use, and only once.

    Attributes:
        folder: path of the dataset's folder.
        layout: layout of the dataset's files, a name in :py:data:`.layouts.registry.LAYOUTS`.
        image_reader: reader of the images.
        mask_reader: reader of the masks.
        cache_dir: folder that keeps the facts of the survey for later runs.
        listed: images that the config lists. They are used instead of the images in the folder. None if the config
            lists no images.
    """

    folder: str | None
    layout: str
    image_reader: ImageFileReader
    mask_reader: MaskFileReader
    cache_dir: str
    listed: list[Item] | None = None

    @cached_property
    def datalist(self) -> list[Item]:
        """The images and masks, from :py:func:`.layouts.registry.read_layout`."""
        items = read_layout(self.layout, self.folder, self.listed)
        self.mask_reader.lay_on(items)
        return items

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, the background first; empty if the dataset does not name them."""
        names = LAYOUTS[self.layout].class_names
        return [] if names is None or self.listed is not None else names(self.folder)

    @cached_property
    def survey(self) -> list[Facts]:
        """The facts of all images and their masks, from :py:func:`.survey.survey_images`."""
        return survey_images(
            self.datalist, image_reader=self.image_reader, mask_reader=self.mask_reader, cache_dir=self.cache_dir
        )

    @property
    def facts(self) -> list[Facts]:
        """The facts of the images that the run uses. In this class, the run uses all images."""
        return self.survey

    @cached_property
    def duplicates(self) -> NearDuplicates:
        """The near-duplicates among the images that the run uses, from :py:func:`.duplicates.near_duplicates`."""
        return near_duplicates(self.facts)


@dataclass(frozen=True, kw_only=True)
class DividedData(Dataset):
    """A dataset that is divided into folds, and the images of one fold.

    Attributes:
        division: the knobs of :py:func:`.splits.choose.split_images`, which say how to divide the images.
        group_duplicates: whether near-duplicates stay together in the same part of a fold.
        fold: number of the fold, counted from 0.
    """

    division: Mapping[str, Any]
    group_duplicates: bool
    fold: int

    @property
    def _inseparable(self) -> NearDuplicates:
        """The near-duplicates that stay together."""
        return self.duplicates if self.group_duplicates else NearDuplicates()

    @cached_property
    def split(self) -> Split:
        """The division into all folds."""
        knobs: dict[str, Any] = {"facts": self.facts, "duplicates": self._inseparable, **self.division}
        return split_images(self.datalist, root=self.folder or "", **knobs)

    @cached_property
    def _parts(self) -> dict[str, list[Item]]:
        return choose_fold(self.split, self.fold, self.datalist)

    @property
    def train(self) -> list[Item]:
        """The images to train on. Every item has an ``"image"``, a ``"label"`` and a ``"group"``."""
        return self._parts["train"]

    @property
    def validate(self) -> list[Item]:
        """The images to choose the epoch on."""
        return self._parts["validate"]

    @property
    def test(self) -> list[Item]:
        """The images that an evaluation will score."""
        return self._parts["test"]

    @cached_property
    def leaks(self) -> list[dict[str, Any]]:
        """Images that belong together but are in different parts of a fold; see :py:func:`.splits.leaks.find_leaks`."""
        return find_leaks(self._inseparable, self.split)
