# SPDX-License-Identifier: Apache-2.0

"""The layouts of ISIC 2016 and FIVES, as released. Both have an official division into training and test images."""

from __future__ import annotations

from os import PathLike

from .files import Item, dataset_folder, folder_of, pairs

__all__ = ["from_fives", "from_isic2016"]

_RENAMED = """
or <dataset_dir>/{train,test}/inputs/ and <dataset_dir>/{train,test}/targets/"""
_ISIC2016_TREE = f"""
  <dataset_dir>/ISBI2016_ISIC_Part1_{{Training,Test}}_Data/<id>.jpg
  <dataset_dir>/ISBI2016_ISIC_Part1_{{Training,Test}}_GroundTruth/<id>_Segmentation.png{_RENAMED}"""
_FIVES_TREE = f"""
  <dataset_dir>/{{train,test}}/Original/<name>.png
  <dataset_dir>/{{train,test}}/Ground truth/<name>.png{_RENAMED}"""


def from_isic2016(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the images of ISIC 2016 Task 1, lesions in dermoscopy: 900 images to train on, and 379 to test.

    Args:
        dataset_dir: folder that holds the four folders of the release.

    Returns:
        Items ``{"image": path, "label": path, "part": "train" or "test"}``, sorted by name within a part.

    Raises:
        InputError: if the folder has another layout, an image has no mask, or a mask has no image.
    """
    folder = dataset_folder(dataset_dir, _ISIC2016_TREE)
    items = []
    for part, word in (("train", "Training"), ("test", "Test")):
        if (folder / "train" / "inputs").is_dir():
            outer = folder_of(folder, part, tree=_ISIC2016_TREE)
            names = (outer, "inputs"), (outer, "targets")
        else:
            start = f"ISBI2016_ISIC_Part1_{word}"
            names = (folder, f"{start}_Data"), (folder, f"{start}_GroundTruth")
        items += pairs(*(folder_of(parent, name, tree=_ISIC2016_TREE) for parent, name in names), part=part)
    return items


def from_fives(dataset_dir: str | PathLike[str] | None) -> list[Item]:
    """List the images of FIVES, vessels in fundus images: 600 images to train on, and 200 to test.

    Args:
        dataset_dir: folder that holds ``train`` and ``test``.

    Returns:
        Items ``{"image": path, "label": path, "part": "train" or "test"}``, sorted by name within a part.

    Raises:
        InputError: if the folder has another layout, an image has no mask, or a mask has no image.
    """
    folder = dataset_folder(dataset_dir, _FIVES_TREE)
    items = []
    for part in ("train", "test"):
        outer = folder_of(folder, part, tree=_FIVES_TREE)
        kinds = ("Original", "inputs"), ("Ground truth", "targets")
        items += pairs(*(folder_of(outer, *names, tree=_FIVES_TREE) for names in kinds), part=part)
    return items
