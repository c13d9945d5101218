# SPDX-License-Identifier: Apache-2.0

"""The folder that masks are written to: what is done in it, what is left to do, and who does it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import ignite.distributed as idist

from ..common.errors import InputError
from ..image_io.mask_files import OUTLINES, mask_format
from ..image_io.mask_marks import made_of, read_mark, was_changed

__all__ = ["EVERYTHING", "FAILED", "batches_of", "other_files", "still_to_do"]

#: what can be wanted besides masks
EVERYTHING = dict.fromkeys(("overlays", "contours", "probability_maps", "uncertainty_maps"), True)

#: in the folder: the images that could not be read
FAILED = "failed.csv"

_LONGEST_NAME = 255  # bytes, on the file systems of Linux, macOS and Windows

_logger = logging.getLogger("qtseg")


def other_files(mask: str, outputs: Mapping[str, bool], out_channels: int) -> dict[str, str]:
    """What an inference writes of an image besides its mask; of a volume nothing.

    Args:
        mask: its name in the folder of the masks.
        outputs: whether there are "overlays", "contours", "probability_maps" and "uncertainty_maps".
        out_channels: number of classes, the background counted.

    Returns:
        Names in the same folder, by what they are; each begins with that.
    """
    if mask_format(mask).is_volume:
        return {}
    kinds = [name for name, wanted in outputs.items() if wanted and name != "probability_maps"]
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
    """The images whose masks are not there yet, so that an inference that was cut off goes on.

    An image is done if its mask, and all else that is wanted of it, was made of it with the same settings, as the marks
    in the files say. Files that an inference has made, and somebody has changed since, stay, and so does all else of
    their image; the log names them.

    Args:
        images: items of ``"image"``, a path, and ``"mask"``, its mask's name in ``output_dir``.
        output_dir: folder of the masks.
        settings: what masks depend on; JSON can hold them.
        outputs: what else is wanted, as for :py:func:`other_files`.
        out_channels: number of classes, the background counted.

    Returns:
        The items to do, in the order given, each with ``"made"``, for its marks.

    Raises:
        InputError: if a file would be overwritten that no inference has made, or a name cannot be that of a file: it is
            too long, or that of a folder.
    """
    folder = Path(output_dir)
    failed = folder / FAILED
    if failed.is_file() and not failed.read_text(encoding="utf-8", errors="replace").startswith("image,problem"):
        raise InputError(f"{failed} would be overwritten, but is no list of ours; set --output_dir to another folder")
    todo, changed = [], []
    of_images = [[item["mask"], *other_files(item["mask"], outputs, out_channels).values()] for item in images]
    _check_places(folder, images, of_images)
    for item, wanted in zip(images, of_images):
        made = made_of(item["image"], settings)
        marks = {name: read_mark(folder / name) for name in wanted if (folder / name).is_file()}
        if len(marks) == len(wanted) and set(marks.values()) == {made}:
            continue
        foreign = [name for name, found in marks.items() if found is None]
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
            todo.append({**item, "made": made})
    idist.barrier()  # no process writes before all have looked
    if idist.get_rank() == 0:
        done = len(images) - len(todo) - len(changed)
        if done:
            _logger.info(f"{done} of {len(images)} images are done in {folder} already, by the same model")
        if changed:
            _logger.warning(f"{len(changed)} image(s) stay as they are, as files were changed since: {changed[0]}, ...")
    return todo


def _check_places(folder: Path, images: Sequence[Mapping[str, str]], of_images: Sequence[Sequence[str]]) -> None:
    """Whether all can be files there, before the first is written."""
    folders = {parent for names in of_images for name in names for parent in PurePath(name).parents}
    for parent in sorted({folder / each for each in folders} | {folder}):
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
    """Batches of neighbors, dealt out to the processes of a job; a volume is a batch by itself.

    They are the same batches for any number of processes, and so are the masks, to the last bit where processes have
    equally many threads: with another number, sums are taken in another order.

    Args:
        images: those to do; the name of a mask says whether it is a volume's.
        batch_size: images a batch.

    Returns:
        Positions of the images in each batch of this process.
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
