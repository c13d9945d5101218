# SPDX-License-Identifier: Apache-2.0

"""Read a dataset in whatever layout it has: what the knob ``layout`` chooses from."""

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

#: what the knob ``layout`` can be
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
    """The images and labels of a dataset, in a layout that this bundle knows. No image is opened here.

    Args:
        layout: a name in :py:data:`LAYOUTS`.
        dataset_dir: the dataset's folder.
        listed: images that the config lists, which take the place of those in the folder; None if it lists none.

    Returns:
        A dictionary an image: ``"image"``, a path; ``"label"``, a path, or a list of them if the mask comes in parts;
        ``"part"``, one of train, val and test, where the dataset is divided; ``"stratum"``, where the images are of
        several kinds.

    Raises:
        InputError: if there is no such layout, or the dataset is not laid out so.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout is {layout!r}; use one of {', '.join(map(repr, LAYOUTS))}")
    return LAYOUTS[layout](dataset_dir) if listed is None else listed
