# SPDX-License-Identifier: Apache-2.0

"""The registry of layouts. The knob ``layout`` is the name of a layout here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike

from ...common.errors import InputError
from .bkai import from_bkai
from .busi import from_busi
from .decathlon import from_decathlon
from .dsb2018 import from_dsb2018
from .files import Item
from .folder import from_folder
from .official import from_fives, from_isic2016

__all__ = ["LAYOUTS", "read_layout"]

#: the values of the knob ``layout``, with the function that lists the images of a dataset in this layout
LAYOUTS: dict[str, Callable[[str | PathLike[str] | None], list[Item]]] = {
    "folder": from_folder,
    "decathlon": from_decathlon,
    "isic2016": from_isic2016,
    "busi": from_busi,
    "busi_with_normal": partial(from_busi, normal=True),
    "bkai": from_bkai,
    "dsb2018": from_dsb2018,
    "fives": from_fives,
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
    return LAYOUTS[layout](dataset_dir) if listed is None else listed
