# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Folders of images and masks as checked lists of pairs, and their division into folds.

Configs name ``read_layout``, ``images_in`` and ``split``. A list has one dictionary an image:
``{"image": path, "label": path}``, where the label is a list of paths if the mask comes in parts. Only headers are
read here: every file must be a readable image, and every mask as large as its image.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from .errors import InputError
from .image_headers import SUFFIXES, image_size

__all__ = ["LAYOUTS", "from_dsb2018", "from_folder", "images_in", "read_layout", "split"]

Item = dict[str, Any]

_FOLDER_TREE = """
  <dataset_dir>/images/<name>.png
  <dataset_dir>/masks/<name>.png    (or labels/; <name>_mask or <name>_segmentation will do)"""
_DSB2018_TREE = """
  <dataset_dir>/stage1_train/<id>/images/<id>.png
  <dataset_dir>/stage1_train/<id>/masks/*.png"""
_ADD_DSB2018 = "add configs/datasets/dsb2018.json to --config_file"
_MASK_ENDING = re.compile("(_mask|_segmentation)$", re.IGNORECASE)
_SHOWN = 3  # file names in a message


def read_layout(layout: str, dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """The images and labels of a dataset, in a layout that this bundle knows.

    Args:
        layout: a name in :py:data:`LAYOUTS`.
        dataset_dir: the dataset's folder.

    Returns:
        What the layout's function returns.

    Raises:
        InputError: if there is no such layout, or the layout's function raises it.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout is {layout!r}; use one of {', '.join(map(repr, LAYOUTS))}")
    return LAYOUTS[layout](dataset_dir)


def from_folder(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """Pairs of ``images/`` and ``masks/`` (or ``labels/``), sorted by the name of the image file.

    A mask has the stem of its image, or that and ``_mask`` or ``_segmentation`` (in any case); suffixes may differ and
    mix. Hidden files and files of other types are left out, the latter with a line in the log.

    Args:
        dataset_dir: folder that holds the two.

    Returns:
        ``{"image": path, "label": path}`` for every image.

    Raises:
        InputError: if a folder is missing or empty, a name is ambiguous or has no partner, a file is not a readable
            image, or a mask is not as large as its image.
    """
    folder = _folder(dataset_dir, _FOLDER_TREE)
    if folder.name == "stage1_train":
        raise InputError(f"{_inside_dsb2018(folder)}, and {_ADD_DSB2018}")
    if (folder / "stage1_train").is_dir():
        raise InputError(f"{folder} holds the Data Science Bowl 2018; {_ADD_DSB2018}")
    mask_folders = [folder / name for name in ("masks", "labels") if (folder / name).is_dir()]
    if len(mask_folders) > 1:
        raise InputError(f"{folder} has both masks/ and labels/; keep the one to train on, and rename the other")
    if not (folder / "images").is_dir() or not mask_folders:
        missing = "masks/ (or labels/)" if (folder / "images").is_dir() else "images/"
        raise InputError(f"{folder} has no folder {missing}; expected is{_FOLDER_TREE}")
    images, masks = _images(folder / "images"), _images(mask_folders[0])
    _check_stems(images)
    _check_stems(masks)
    items = [{"image": str(image), "label": str(mask)} for image, mask in _pairs(images, masks)]
    _check_sizes(items)
    return items


def from_dsb2018(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """Images of the Data Science Bowl 2018 with one mask file per nucleus, in the layout of its release.

    Args:
        dataset_dir: folder that holds ``stage1_train``.

    Returns:
        ``{"image": path, "label": [path, ...]}`` sorted by id.

    Raises:
        InputError: if the layout is another, a file is not a readable image, or a mask is not as large as its image.
    """
    folder = _folder(dataset_dir, _DSB2018_TREE)
    if folder.name == "stage1_train":
        raise InputError(_inside_dsb2018(folder))
    if not (folder / "stage1_train").is_dir():
        raise InputError(f"{folder} has no folder stage1_train; expected is{_DSB2018_TREE}")
    items = []
    for sample in sorted(path for path in (folder / "stage1_train").iterdir() if _is_visible(path) and path.is_dir()):
        for name in ("images", "masks"):
            if not (sample / name).is_dir():
                raise InputError(f"{sample} has no folder {name}; expected is{_DSB2018_TREE}")
        images, masks = _images(sample / "images"), _images(sample / "masks")
        if len(images) > 1:
            raise InputError(f"{sample / 'images'} has {len(images)} images; expected is one, {sample.name}.png")
        items.append({"image": str(images[0]), "label": [str(mask) for mask in masks]})
    if not items:
        raise InputError(f"{folder / 'stage1_train'} is empty; expected is{_DSB2018_TREE}")
    _check_sizes(items)
    return items


#: what the knob ``layout`` can be
LAYOUTS: dict[str, Callable[[str | PathLike[str] | None], list[Item]]] = {
    "folder": from_folder,
    "dsb2018": from_dsb2018,
}


def images_in(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """Images to segment: those of the folder itself, or of its ``images/`` if there is one.

    Args:
        dataset_dir: the folder.

    Returns:
        ``{"image": path}`` sorted by file name.

    Raises:
        InputError: if the folder is missing or holds no image, two images would be saved under one name, or a file is
            not a readable image.
    """
    folder = _folder(dataset_dir, "\n  <dataset_dir>/<name>.png")
    inner = folder / "images"
    if inner.is_dir() and any(_is_image(path) for path in folder.iterdir()):
        raise InputError(f"{folder} and {inner} both hold images; give --dataset_dir {inner}, or move the others there")
    images = _images(inner if inner.is_dir() else folder)
    _check_stems(images)
    _sizes(map(str, images))
    return [{"image": str(image)} for image in images]


def split(datalist: Sequence[Item], *, fold: int, num_folds: int, remainder: str = "spread") -> dict[str, list[Item]]:
    """Hold one fold out: contiguous slices of ``len(datalist) // num_folds`` images, in the order given.

    Args:
        datalist: all images.
        fold: the slice to validate on, 0 to ``num_folds - 1``.
        num_folds: number of slices, 2 or more.
        remainder: what becomes of the images left over by the division. "spread": the first slices get one more each.
            "train": they are in every training part and validated in none, as in the paper's benchmarks.

    Returns:
        ``{"train": [...], "validate": [...]}``, each in the order given.

    Raises:
        InputError: if an argument is out of range.

    Example::

        >>> split([{"image": f"{i}.png"} for i in range(5)], fold=0, num_folds=2)["validate"]
        [{'image': '0.png'}, {'image': '1.png'}, {'image': '2.png'}]
    """
    if num_folds < 2:
        raise InputError(f"num_folds is {num_folds}; use 2 or more, so that there is a part to train on")
    if not 0 <= fold < num_folds:
        raise InputError(f"fold is {fold}; with num_folds={num_folds} use 0 to {num_folds - 1}")
    if len(datalist) < num_folds:
        raise InputError(f"num_folds is {num_folds} for {len(datalist)} image(s); add images, or use fewer folds")
    if remainder not in ("spread", "train"):
        raise InputError(f'remainder is {remainder!r}; use "spread" or "train"')
    size, left_over = divmod(len(datalist), num_folds)
    extra = left_over if remainder == "spread" else 0
    start = fold * size + min(fold, extra)
    stop = start + size + (fold < extra)
    return {"train": [*datalist[:start], *datalist[stop:]], "validate": list(datalist[start:stop])}


def _folder(dataset_dir: str | PathLike[str] | None, tree: str) -> Path:
    if dataset_dir is None:  # what a config says where the user has said nothing
        raise InputError(f"dataset_dir is not set; give --dataset_dir a folder:{tree}")
    folder = Path(str(dataset_dir)).expanduser()  # the command line turns a folder named 2018 into a number
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give --dataset_dir an existing folder:{tree}")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give --dataset_dir a folder:{tree}")
    return folder


def _inside_dsb2018(folder: Path) -> str:
    return f"{folder} is a part of the Data Science Bowl 2018; give its parent, {folder.parent}, as --dataset_dir"


def _is_visible(path: Path) -> bool:
    # Thumbs.db is Windows' own; .DS_Store and the ._ twins of macOS begin with a dot.
    return not path.name.startswith(".") and path.name.lower() != "thumbs.db"


def _is_image(path: Path) -> bool:
    return _is_visible(path) and path.suffix.lower() in SUFFIXES and path.is_file()


def _images(folder: Path) -> list[Path]:
    """Image files of a folder, sorted by name."""
    entries = [path for path in folder.iterdir() if _is_visible(path)]
    images = [path for path in entries if _is_image(path)]
    if len(images) < len(entries):
        others = len(entries) - len(images)
        logging.getLogger("qtseg").info(f"{folder}: left out {others} entries that are no image files")
    if not images:
        raise InputError(f"{folder} holds no image; supported are {', '.join(sorted(SUFFIXES))}")
    return sorted(images, key=lambda path: path.name)


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem)  # macOS decomposes accents in names that it writes


def _check_stems(paths: Iterable[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        twin = seen.setdefault(_stem(path), path)
        if twin is not path:
            raise InputError(f"{twin} and {path.name} differ in their suffix only; rename one of them or remove it")


def _pairs(images: Sequence[Path], masks: Sequence[Path]) -> list[tuple[Path, Path]]:
    by_stem: dict[str, list[Path]] = {}
    for mask in masks:
        stem = _stem(mask)
        for name in {stem, _MASK_ENDING.sub("", stem)}:
            by_stem.setdefault(name, []).append(mask)
    pairs, without_mask, owner = [], [], dict[Path, Path]()
    for image in images:
        found = by_stem.get(_stem(image), [])
        if len(found) > 1:
            raise InputError(f"{image} fits {' and '.join(mask.name for mask in found)}; keep one mask, or rename")
        if not found:
            without_mask.append(image)
        elif (other := owner.setdefault(found[0], image)) is not image:
            raise InputError(f"{found[0]} fits {other.name} and {image.name}; give each image a mask of its own")
        else:
            pairs.append((image, found[0]))
    _refuse_single(without_mask, "have no mask", masks[0].parent)
    _refuse_single([mask for mask in masks if mask not in owner], "have no image", images[0].parent)
    return pairs


def _refuse_single(single: Sequence[Path], problem: str, searched: Path) -> None:
    if single:
        names = ", ".join(path.name for path in single[:_SHOWN]) + (", ..." if len(single) > _SHOWN else "")
        raise InputError(
            f"{len(single)} file(s) in {single[0].parent} {problem} of the same name in {searched}: {names}; "
            "add the missing files, or remove these"
        )


def _check_sizes(items: Sequence[Item]) -> None:
    labels = [[label] if isinstance(label := item["label"], str) else label for item in items]
    sizes = _sizes(chain.from_iterable([item["image"], *masks] for item, masks in zip(items, labels)))
    for item, masks in zip(items, labels):
        height, width = sizes[item["image"]]
        for mask in masks:
            if sizes[mask] != (height, width):
                raise InputError(
                    f"{mask} is {sizes[mask][1]} x {sizes[mask][0]} pixels but {item['image']} is {width} x {height}; "
                    "a mask must be as large as its image"
                )


def _sizes(paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """(H, W) of every file. Threads, as a network drive takes its time to open one."""
    paths = list(paths)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(paths, pool.map(image_size, paths)))
