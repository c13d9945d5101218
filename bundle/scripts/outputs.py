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
"""The folder that masks are written to: what is done in it, what is left to do, and who does it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from .errors import InputError
from .pictures import is_our_mask
from .whole_files import read_json

__all__ = ["STATE", "batches_of", "still_to_do"]

#: in the folder: how its masks were made
STATE = "inference.json"

_logger = logging.getLogger("qtseg")


def still_to_do(
    images: Sequence[Mapping[str, str]], output_dir: str | os.PathLike, settings: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The images whose masks are not there yet, so that an inference that was cut off goes on.

    A mask counts as done if it was made with the same settings and is newer than its image. Masks are written whole,
    and after all else that is written of their image.

    Args:
        images: items of ``"image"``, a path, and ``"mask"``, its mask's name in ``output_dir``.
        output_dir: folder of the masks; its ``inference.json`` has their settings.
        settings: what masks depend on; JSON can hold them.

    Returns:
        The items to do, in the order given.

    Raises:
        InputError: if a file would be overwritten that is no mask of an earlier inference.
    """
    folder = Path(output_dir)
    state = folder / STATE
    before = read_json(state) if state.is_file() else None
    if before is None:
        _refuse_others(images, folder)
    todo = [dict(item) for item in images if before != settings or not _is_done(item, folder)]
    idist.barrier()  # no process writes before all have looked
    if len(todo) < len(images) and idist.get_rank() == 0:
        _logger.info(f"{len(images) - len(todo)} of {len(images)} masks are in {folder} already, of the same model")
    return todo


def batches_of(images: Sequence[Mapping[str, str]], batch_size: int) -> list[list[int]]:
    """Batches of neighbors, dealt out to the processes of a job; a volume is a batch by itself.

    They are the same batches for any number of processes, and so are the masks, to the last bit where processes have
    equally many threads: with another number, sums are taken in another order.

    Args:
        images: those to do; masks of volumes are no ``.png``.
        batch_size: images a batch.

    Returns:
        Positions of the images in each batch of this process.
    """
    batches: list[list[int]] = []
    for i, item in enumerate(images):
        is_single = item["mask"].endswith(".png")
        if batches and is_single and len(batches[-1]) < batch_size and images[batches[-1][0]]["mask"].endswith(".png"):
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches[idist.get_rank() :: idist.get_world_size()]


def _is_done(item: Mapping[str, str], folder: Path) -> bool:
    try:
        return os.stat(folder / item["mask"]).st_mtime_ns > os.stat(item["image"]).st_mtime_ns
    except OSError:
        return False


def _refuse_others(images: Sequence[Mapping[str, str]], folder: Path) -> None:
    for item in images:
        target = folder / item["mask"]
        if target.is_file() and not is_our_mask(target):
            raise InputError(f"{target} would be overwritten by a mask; set --output_dir to another folder")
