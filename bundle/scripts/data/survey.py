# SPDX-License-Identifier: Apache-2.0

"""Look once at every image and mask of a dataset, and remember what was seen."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from ..common.errors import InputError
from ..common.files import given_json, write_text
from ..image_io.mask_rules import smeared_share
from ..image_io.pixels import Pixels
from ..image_io.readers import ImageFileReader, MaskFileReader

__all__ = ["THUMBNAIL", "Facts", "survey_images"]

THUMBNAIL = 32  # pixels a side
_VERSION = 3  # of what is remembered
_SLOW = 10.0  # seconds
_AT_A_TIME = 256  # images

_logger = logging.getLogger("qtseg")


@dataclass(frozen=True)
class Facts:
    """What was seen of one image and its mask.

    Attributes:
        image: its path.
        problem: why it cannot be used, one sentence; None if it can. Without one, the rest is known.
        size: (H, W) in pixels.
        low, high: its smallest and largest intensity, in [0, 255].
        mean, spread: mean and standard deviation of its intensities.
        digest: of its pixels; equal for equal pixels, whatever the file.
        label_digest: of its mask's label ids.
        thumbnail: its gray values, 32 x 32 uint8, as base64.
        pixels: number of pixels of each label id, the background first.
        objects: by label id above 0, its connected objects counted by area: n-th, those of 2^n to 2^(n+1) - 1 pixels.
        smeared: share of the mask's pixels that are neither background nor object as stored.
    """

    image: str
    problem: str | None = None
    size: tuple[int, int] = (0, 0)
    low: float = 0
    high: float = 0
    mean: float = 0
    spread: float = 0
    digest: str = ""
    label_digest: str = ""
    thumbnail: str = ""
    pixels: list[int] = field(default_factory=list)
    objects: list[list[int]] = field(default_factory=list)
    smeared: float = 0


def survey_images(
    datalist: Sequence[dict[str, Any]],
    *,
    image_reader: ImageFileReader,
    mask_reader: MaskFileReader,
    cache_dir: str | os.PathLike[str],
) -> list[Facts]:
    """Read every image and mask, unless that was done before and no file has changed since.

    Of processes that train together, the first reads.

    Args:
        datalist: items of ``"image"``, a path, and ``"label"``, a path or a list of paths.
        image_reader: reads the images.
        mask_reader: reads the masks.
        cache_dir: folder where what was seen is remembered, in a file for each state of the dataset.

    Returns:
        The facts of every image, in the order given. Files that cannot be used do not stop the survey; their facts
        name the problem.
    """
    settings = [image_reader.channels, image_reader.color_space, mask_reader.num_classes, mask_reader.colors]
    remembered = Path(cache_dir) / f"{_state(datalist, settings)}.json"
    if not idist.broadcast(float(remembered.is_file())):  # as the first process finds it
        facts = _look(datalist, image_reader, mask_reader)
        if idist.get_rank() == 0:
            write_text(remembered, json.dumps([asdict(each) for each in facts]))
        idist.barrier()
    return [Facts(**each) for each in given_json(remembered)]


def _state(datalist: Sequence[dict[str, Any]], settings: Any) -> str:
    """Changes with any file's name, size or time, and with how files are read."""
    digest = hashlib.sha256(json.dumps([_VERSION, settings]).encode())
    for item in datalist:
        for path in _files(item):
            try:
                status = os.stat(path)
            except OSError as error:
                cure = "put it back, or mend its rights"
                raise InputError(f"{path} cannot be read ({error.strerror}); {cure}") from error
            digest.update(os.fsencode(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0"))
    return digest.hexdigest()[:16]


def _files(item: dict[str, Any]) -> list[str]:
    return [item["image"], *_parts(item)]


def _parts(item: dict[str, Any]) -> list[str]:
    return [item["label"]] if isinstance(item["label"], str) else item["label"]


def _look(
    datalist: Sequence[dict[str, Any]], image_reader: ImageFileReader, mask_reader: MaskFileReader
) -> list[Facts]:
    """The facts in the first process, while the others wait; none there."""
    start = time.monotonic()
    facts: list[Facts] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(
        total=len(datalist), desc="Looking at the data", delay=2, disable=idist.get_rank() > 0
    ) as bar:
        for first in range(0, len(datalist), _AT_A_TIME):
            if idist.get_rank() == 0:
                next_ones = datalist[first : first + _AT_A_TIME]
                for each in pool.map(partial(_look_at, image_reader, mask_reader), next_ones):
                    facts.append(each)
                    bar.update()
            idist.barrier()  # processes give up if one of them is not heard of for minutes
    taken = time.monotonic() - start
    if taken > _SLOW and idist.get_rank() == 0:
        _logger.info(f"check:    {len(datalist)} images and masks were read in {taken:.0f} s; later runs know them")
    return facts


def _look_at(image_reader: ImageFileReader, mask_reader: MaskFileReader, item: dict[str, Any]) -> Facts:
    smeared: list[float] = []  # of each part of the mask

    def see(pixels: Pixels) -> None:
        smeared.append(smeared_share(pixels, mask_reader.num_classes, mask_reader.colors))

    try:
        plain = image_reader.plain(item["image"])  # (H, W, C)
        image = image_reader.convert(plain)
        mask = mask_reader.read_parts(_parts(item), see=see)  # (H, W)
    except InputError as error:
        return Facts(item["image"], problem=str(error))
    if mask.shape != image.shape[:2]:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        names = f"{_parts(item)[0]} is {mask_width} x {mask_height} pixels but {item['image']} is {width} x {height}"
        return Facts(item["image"], problem=f"{names}; a mask must be as large as its image")
    return Facts(
        item["image"],
        size=image.shape[:2],
        low=float(image.min()),
        high=float(image.max()),
        mean=round(float(image.mean()), 2),
        spread=round(float(image.std()), 2),
        digest=_digest(plain),  # by which an image is known in any color space
        label_digest=_digest(mask),
        thumbnail=base64.b64encode(_thumbnail(image).tobytes()).decode(),
        pixels=np.bincount(mask.ravel(), minlength=mask_reader.num_classes).tolist(),
        objects=[_areas(mask == label) for label in range(1, mask_reader.num_classes)],
        smeared=round(max(smeared), 5),
    )


def _digest(pixels: NDArray[Any]) -> str:
    """A digest of pixels as they are read; equal for equal pixels, whatever the file."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest()


def _thumbnail(image: NDArray[Any]) -> NDArray[np.uint8]:
    gray = Image.fromarray(image.mean(-1).astype(np.uint8))
    return np.asarray(gray.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def _areas(mask: NDArray[np.bool_]) -> list[int]:
    """Objects counted by area, in powers of two."""
    if not mask.any():
        return []
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    return np.bincount(np.log2(areas).astype(int)).tolist()
