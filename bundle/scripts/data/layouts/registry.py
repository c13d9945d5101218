# SPDX-License-Identifier: Apache-2.0

"""The registry of layouts. The knob ``layout`` is the name of a layout here."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from os import PathLike
from typing import NamedTuple

from ...common.errors import InputError
from ...common.files import user_path
from ...common.paths import CONFIGS
from .bkai import from_bkai
from .busi import from_busi
from .decathlon import class_names_of_decathlon, from_decathlon
from .dsb2018 import from_dsb2018
from .files import Item
from .folder import from_folder
from .official import from_fives, from_isic2016

__all__ = ["LAYOUTS", "Layout", "read_layout"]


class Layout(NamedTuple):
    """A layout of datasets.

    Attributes:
        list_items: lists the images of a dataset in this layout, from the path of its folder.
        sign: a file or a folder in the dataset's folder that only this layout has. If it is there, the layout "folder"
            refuses the folder, and names this layout. Empty if there is none.
        class_names: names the classes of a dataset, the background first, from the path of its folder. None if datasets
            in this layout do not name them.
    """

    list_items: Callable[[str | PathLike[str] | None], list[Item]]
    sign: str = ""
    class_names: Callable[[str | PathLike[str] | None], list[str]] | None = None


#: the values of the knob ``layout``
LAYOUTS: dict[str, Layout] = {
    "folder": Layout(from_folder),
    "decathlon": Layout(from_decathlon, class_names=class_names_of_decathlon),
    "isic2016": Layout(from_isic2016, sign="ISBI2016_ISIC_Part1_Training_Data"),
    "busi": Layout(from_busi, sign="malignant"),
    "busi_with_normal": Layout(partial(from_busi, normal=True)),
    "bkai": Layout(from_bkai, sign="train_gt"),
    "dsb2018": Layout(from_dsb2018, sign="stage1_train"),
    "fives": Layout(from_fives, sign="train/Original"),
}


def read_layout(
    layout: str, dataset_dir: str | PathLike[str] | None, listed: list[Item] | None = None
) -> list[Item]:
    """List the images and labels of a dataset. No image is opened here.

    Args:
        layout: name of the layout in :py:data:`LAYOUTS`.
        dataset_dir: path of the dataset's folder.
        listed: images that the config lists. They are returned instead of the images in the folder. None if the config
            lists no images.

    Returns:
        An item for every image; :py:data:`.files.Item` says what is in it.

    Raises:
        InputError: if there is no such layout, or if the dataset has another layout.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout is {layout!r}; use one of {', '.join(map(repr, LAYOUTS))}")
    if listed is not None:
        return listed
    if layout == "folder" and dataset_dir is not None:
        _refuse_other_layouts(dataset_dir)
    return LAYOUTS[layout].list_items(dataset_dir)


def _refuse_other_layouts(dataset_dir: str | PathLike[str]) -> None:
    folder = user_path(dataset_dir)
    for name, layout in LAYOUTS.items():
        if layout.sign and os.path.exists(folder / layout.sign):
            has_overlay = (CONFIGS / "datasets" / f"{name}.json").is_file()
            cure = f"add configs/datasets/{name}.json to --config_file" if has_overlay else f"add --layout {name}"
            raise InputError(f"{folder} is laid out as {name}, as it has {layout.sign}; {cure}")
