# SPDX-License-Identifier: Apache-2.0

"""The folder of the masks: which masks are done, which are left to do, and which process does them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import ignite.distributed as idist

from ..common.errors import InputError
from ..image_io.formats.mask_files import OUTLINES, mask_format
from ..image_io.mask_marks import made_of, read_mark, was_changed

__all__ = ["EVERYTHING", "FAILED", "batches_of", "other_files", "still_to_do"]

#: all outputs besides masks that inference can write
EVERYTHING = dict.fromkeys(("overlays", "contours", "probability_maps", "uncertainty_maps"), True)

#: name of the file in the folder that lists the images that could not be read
FAILED = "failed.csv"

_LONGEST_NAME = 255  # bytes; limit of the file systems of Linux, macOS and Windows

_logger = logging.getLogger("qtseg")


def other_files(mask: str, outputs: Mapping[str, bool], out_channels: int) -> dict[str, str]:
    """Name the files that inference writes for an image besides its mask. For a volume there are none.

    Args:
        mask: name of the mask in the folder of the masks.
        outputs: whether to write "overlays", "contours", "probability_maps" and "uncertainty_maps".
        out_channels: number of classes. The background counts as a class.

    Returns:
        Names of the files in the same folder. The keys are the kinds of outputs, such as "overlays" or
        "probability_maps/1", and every name begins with its kind as a folder.
    """
    if mask_format(mask).is_volume:
        return {}
    kinds = [name for name, is_on in outputs.items() if is_on and name != "probability_maps"]
    if outputs.get("probability_maps"):
        kinds += [f"probability_maps/{number}" for number in range(1, out_channels)]
    files = {kind: f"{kind}/{mask}" for kind in kinds}
    if "contours" in files:
        files["contours"] = files["contours"].removesuffix(mask_format(mask).suffix) + OUTLINES.suffix
    return files


def still_to_do(
    images: Sequence[Mapping[str, str]],
    output_dir: str | os.PathLike,
    settings: Mapping[str, Any],
    *,
    outputs: Mapping[str, bool],
    out_channels: int,
) -> list[dict[str, str]]:
    """List the images that are not done yet, so that an interrupted inference can go on.

    An image is done if the marks of its mask and of its other outputs say that they were made of this image and with
    the same settings. If somebody has changed an output after inference wrote it, all outputs of this image stay as
    they are, and the log names one such file.

    Args:
        images: items with ``"image"``, a path, and ``"mask"``, the name of its mask in ``output_dir``.
        output_dir: path of the folder of the masks.
        settings: the settings that masks depend on, with values that JSON can store.
        outputs: which other outputs to write, as for :py:func:`other_files`.
        out_channels: number of classes. The background counts as a class.

    Returns:
        The items of the images to do, in the order of ``images``. Every item also has ``"made"``, a digest for the
        marks of its files.

    Raises:
        InputError: if a file would be overwritten that inference has not written, or if a file cannot have its name,
            because the name is too long or is that of a folder.
    """
    folder = Path(output_dir)
    failed = folder / FAILED
    if failed.is_file() and not failed.read_text(encoding="utf-8", errors="replace").startswith("image,problem"):
        raise InputError(f"{failed} would be overwritten, but is no list of ours; set --output_dir to another folder")
    todo, changed = [], []
    of_images = [[item["mask"], *other_files(item["mask"], outputs, out_channels).values()] for item in images]
    _check_places(folder, images, of_images)
    for item, names in zip(images, of_images):
        origin = made_of(item["image"], settings)
        marks = {name: read_mark(folder / name) for name in names if (folder / name).is_file()}
        if len(marks) == len(names) and set(marks.values()) == {origin}:
            continue
        foreign = [name for name, mark in marks.items() if mark is None]
        if foreign:
            raise InputError(
                f"{folder / foreign[0]} would be overwritten, but no inference has made it; move it, or set "
                "--output_dir to another folder"
            )
        if outputs.get(Path(item["mask"]).parts[0]):
            raise InputError(
                f"{item['image']} lies in a folder named as one that inference makes; rename it, or set "
                f"--{Path(item['mask']).parts[0]} false"
            )
        by_hand = [name for name in marks if was_changed(folder / name)]
        if by_hand:
            changed.append(by_hand[0])
        else:
            todo.append({**item, "made": origin})
    idist.barrier()  # no process writes a file before all processes have checked the folder
    if idist.get_rank() == 0:
        done = len(images) - len(todo) - len(changed)
        if done:
            _logger.info(f"{done} of {len(images)} images are done in {folder} already, by the same model")
        if changed:
            _logger.warning(f"{len(changed)} image(s) stay as they are, as files were changed since: {changed[0]}, ...")
    return todo


def _check_places(folder: Path, images: Sequence[Mapping[str, str]], of_images: Sequence[Sequence[str]]) -> None:
    """Check that all outputs can be written as files, before the first one is written."""
    folders = {parent for names in of_images for name in names for parent in PurePath(name).parents}
    for parent in sorted({folder / parent for parent in folders} | {folder}):
        if os.path.lexists(parent) and not os.path.isdir(parent):
            raise InputError(f"{parent} is to be a folder of masks, but a file; move it, or set another --output_dir")
    for item, names in zip(images, of_images):
        for name in map(PurePath, names):
            over = len(os.fsencode(name.name)) - _LONGEST_NAME
            if over > 0:
                raise InputError(f"{item['image']} has too long a name for its {name.name}; shorten it by {over} bytes")
            if name in folders or os.path.isdir(folder / name):
                raise InputError(
                    f"{item['image']} would be written as {folder / name}, which is a folder; rename the image, or set "
                    "--output_dir to another"
                )


def batches_of(images: Sequence[Mapping[str, str]], batch_size: int) -> list[list[int]]:
    """Divide the images into batches of neighbors, and return the batches of this process. A volume is a batch itself.

    The batches are the same for any number of processes. So the masks are the same, too, to the last bit if the
    processes have the same number of threads. With another number of threads, sums are computed in another order.

    Args:
        images: items of the images to do. The name of a mask shows whether its image is a volume.
        batch_size: number of images in a batch.

    Returns:
        Positions of the images in every batch of this process.
    """
    batches: list[list[int]] = []
    for i, item in enumerate(images):
        before = images[batches[-1][0]]["mask"] if batches else item["mask"]
        are_single = not mask_format(item["mask"]).is_volume and not mask_format(before).is_volume
        if batches and are_single and len(batches[-1]) < batch_size:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches[idist.get_rank() :: idist.get_world_size()]
