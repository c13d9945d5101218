# SPDX-License-Identifier: Apache-2.0

"""A dataset as a run takes it: what was seen of its images, how they are divided, and the images of one fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..image_io.readers import ImageFileReader, MaskFileReader
from .duplicates import Pair, near_duplicates
from .layouts.files import Item
from .layouts.registry import read_layout
from .splits.choose import choose_fold, split_images
from .splits.leaks import find_leaks
from .splits.split import Split
from .survey import Facts, survey_images

__all__ = ["Dataset", "DividedData"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images and their masks. Everything is computed when it is first asked for, and once.

    Attributes:
        folder: the dataset's folder.
        layout: how the images lie there, a name in :py:data:`.layouts.registry.LAYOUTS`.
        image_reader: reads the images.
        mask_reader: reads the masks.
        cache_dir: folder where what was seen of the images is remembered.
        listed: images that the config lists, which take the place of those in the folder; None if it lists none.
    """

    folder: str | None
    layout: str
    image_reader: ImageFileReader
    mask_reader: MaskFileReader
    cache_dir: str
    listed: list[Item] | None = None

    @cached_property
    def datalist(self) -> list[Item]:
        """The images and masks, as :py:func:`.layouts.registry.read_layout` gives them."""
        return read_layout(self.layout, self.folder, self.listed)

    @cached_property
    def survey(self) -> list[Facts]:
        """What was seen of every image and its mask, from :py:func:`.survey.survey_images`."""
        return survey_images(
            self.datalist, image_reader=self.image_reader, mask_reader=self.mask_reader, cache_dir=self.cache_dir
        )

    @property
    def facts(self) -> list[Facts]:
        """What was seen of the images that the run takes: here all of them."""
        return self.survey

    @cached_property
    def duplicates(self) -> list[Pair]:
        """Those among them that are the same picture, from :py:func:`.duplicates.near_duplicates`."""
        return near_duplicates(self.facts)


@dataclass(frozen=True, kw_only=True)
class DividedData(Dataset):
    """A dataset that is divided into folds, and the images of one of them.

    Attributes:
        division: how it is divided: the knobs of :py:func:`.splits.choose.split_images`.
        group_duplicates: whether images that are the same picture are never parted.
        fold: number of the fold, from 0.
    """

    division: Mapping[str, Any]
    group_duplicates: bool
    fold: int

    @property
    def _together(self) -> list[Pair]:
        return self.duplicates if self.group_duplicates else []

    @cached_property
    def split(self) -> Split:
        """All folds."""
        knobs: dict[str, Any] = {"facts": self.facts, "duplicates": self._together, **self.division}
        return split_images(self.datalist, root=self.folder or "", **knobs)

    @cached_property
    def _parts(self) -> dict[str, list[Item]]:
        return choose_fold(self.split, self.fold, self.datalist)

    @property
    def train(self) -> list[Item]:
        """The images to train on, each with its ``"image"``, ``"label"`` and ``"group"``."""
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
        """Images that belong together and that a fold parts, from :py:func:`.splits.leaks.find_leaks`."""
        return find_leaks(self._together, self.split)
