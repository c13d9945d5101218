# SPDX-License-Identifier: Apache-2.0

"""Read every image and mask of a dataset once, and keep the facts about them in a file for later runs."""

from __future__ import annotations

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
from scipy import ndimage
from tqdm import tqdm

from ..common.errors import InputError
from ..common.files import read_json, write_text
from ..image_io.formats.pixels import Pixels
from ..image_io.intensities import middle
from ..image_io.mask_rules import smeared_share
from ..image_io.readers import ImageFileReader, MaskFileReader
from .thumbnails import thumbnails_of
from .widths import median_width

__all__ = ["Facts", "survey_images"]

_VERSION = 5  # version of the file with the facts; a change makes older files invalid
_SLOW = 10.0  # seconds; the log reports surveys that take longer
_AT_A_TIME = 256  # images that are read between two barriers

_logger = logging.getLogger("qtseg")


@dataclass(frozen=True)
class Facts:
    """The facts about one image and its mask.

    Attributes:
        image: path of the image.
        problem: one sentence that says why the image cannot be used; None if it can be used. If there is a problem, the
            attributes below keep their defaults.
        size: (H, W) in pixels.
        low, high: smallest and largest intensity of the image, in [0, 255].
        mean, spread: mean and standard deviation of its intensities.
        contrast: share of the range from ``low`` to ``high`` that all but 1 % of the intensities lie in.
        cut_off: share of the mask's objects whose intensities lie beyond the percentiles that the knob ``intensities``
            cuts off.
        digest: digest of the image's pixels. Equal pixels have equal digests, also in files of different formats.
        label_digest: digest of the label ids of the mask.
        thumbnail: grey values of the image, from :py:func:`.thumbnails.thumbnails_of`.
        content: grey values of the image without its uniform border; empty if it has none.
        pixels: number of pixels of every label id, starting with the background.
        objects: for every label id above 0, the numbers of connected objects by their area. The n-th number, counted
            from 0, is the number of objects of 2^n to 2^(n+1) - 1 pixels.
        widths: for every label id above 0, the median width of its objects in pixels, from
            :py:func:`.widths.median_width`; None if the mask has no such object.
        smeared: share of the mask's pixels whose stored values are neither background nor object.
    """

    image: str
    problem: str | None = None
    size: tuple[int, int] = (0, 0)
    low: float = 0
    high: float = 0
    mean: float = 0
    spread: float = 0
    contrast: float = 1
    cut_off: float = 0
    digest: str = ""
    label_digest: str = ""
    thumbnail: str = ""
    content: str = ""
    pixels: list[int] = field(default_factory=list)
    objects: list[list[int]] = field(default_factory=list)
    widths: list[float | None] = field(default_factory=list)
    smeared: float = 0


def survey_images(
    datalist: Sequence[dict[str, Any]],
    *,
    image_reader: ImageFileReader,
    mask_reader: MaskFileReader,
    cache_dir: str | os.PathLike[str],
) -> list[Facts]:
    """Read every image and mask, unless an earlier run has read them and no file has changed since.

    If several processes train together, only the first one reads the files.

    Args:
        datalist: items with ``"image"``, a path, and ``"label"``, a path or a list of paths.
        image_reader: reader of the images.
        mask_reader: reader of the masks.
        cache_dir: folder for the facts. It gets one file for every state of the dataset.

    Returns:
        The facts of all images, in the order of ``datalist``. A file that cannot be used does not stop the survey; its
        facts name the problem.

    Raises:
        InputError: if a file is missing or access to it is not allowed.
    """
    settings = [image_reader.channels, image_reader.color_space, mask_reader.rules]
    cache_file = Path(cache_dir) / f"{_state(datalist, settings)}.json"
    if not idist.broadcast(float(_is_whole(cache_file))):  # the first process decides for all
        facts = [asdict(image) for image in _read_facts(datalist, image_reader, mask_reader)]
        if idist.get_rank() == 0:
            write_text(cache_file, json.dumps({"digest": _content_digest(facts), "facts": facts}))
        idist.barrier()
    return [Facts(**image) for image in read_json(cache_file)["facts"]]


def _is_whole(cache_file: Path) -> bool:
    """Return whether an earlier run has left its facts, as it wrote them. If not, a warning says why."""
    if not cache_file.exists():
        return False
    try:
        content = read_json(cache_file)
        problem = "" if content.get("digest") == _content_digest(content.get("facts")) else "it was changed"
    except InputError as error:
        problem = str(error)
    if problem and idist.get_rank() == 0:
        _logger.warning(f"check:    {cache_file} is damaged ({problem}); all images are read again")
    return not problem


def _content_digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _state(datalist: Sequence[dict[str, Any]], settings: Any) -> str:
    """Return a digest that changes with the name, size or time of any file, and with the settings of the readers."""
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
    """Return the paths of the mask's parts."""
    return [item["label"]] if isinstance(item["label"], str) else item["label"]


def _read_facts(
    datalist: Sequence[dict[str, Any]], image_reader: ImageFileReader, mask_reader: MaskFileReader
) -> list[Facts]:
    """Read all files in the first process while the other processes wait. These return an empty list."""
    start = time.monotonic()
    facts: list[Facts] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(
        total=len(datalist), desc="Looking at the data", delay=2, disable=idist.get_rank() > 0
    ) as bar:
        for first in range(0, len(datalist), _AT_A_TIME):
            if idist.get_rank() == 0:
                items = datalist[first : first + _AT_A_TIME]
                for image_facts in pool.map(partial(_facts_of, image_reader, mask_reader), items):
                    facts.append(image_facts)
                    bar.update()
            idist.barrier()  # a process that waits for minutes without a barrier would give up
    seconds = time.monotonic() - start
    if seconds > _SLOW and idist.get_rank() == 0:
        _logger.info(f"check:    {len(datalist)} images and masks were read in {seconds:.0f} s; later runs know them")
    return facts


def _facts_of(image_reader: ImageFileReader, mask_reader: MaskFileReader, item: dict[str, Any]) -> Facts:
    """Read an image and its mask, and return the facts about them."""
    smeared: list[float] = []  # one share for every part of the mask

    def see(pixels: Pixels) -> None:
        smeared.append(smeared_share(pixels, **mask_reader.rules))

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
    thumbnail, content = thumbnails_of(image, plain)
    lower, upper = middle(plain)
    objects = plain[mask > 0]  # (number of pixels, C)
    return Facts(
        item["image"],
        size=image.shape[:2],
        low=float(image.min()),
        high=float(image.max()),
        mean=round(float(image.mean()), 2),
        spread=round(float(image.std()), 2),
        contrast=round((upper - lower) / max(float(plain.max()) - float(plain.min()), 1e-9), 5),
        cut_off=round(float(((objects < lower) | (objects > upper)).all(-1).mean()), 5) if len(objects) else 0.0,
        digest=_digest(plain),  # the same digest in any color space
        label_digest=_digest(mask),
        thumbnail=thumbnail,
        content=content,
        pixels=np.bincount(mask.ravel(), minlength=mask_reader.num_classes).tolist(),
        objects=[_areas(mask == label) for label in range(1, mask_reader.num_classes)],
        widths=[median_width(mask == label) for label in range(1, mask_reader.num_classes)],
        smeared=round(max(smeared), 5),
    )


def _digest(pixels: NDArray[Any]) -> str:
    """Return a digest of decoded pixels. It is equal for equal pixels, also in files of different formats."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest()


def _areas(mask: NDArray[np.bool_]) -> list[int]:
    """Count the objects of a mask by their area in powers of two, as in ``Facts.objects``."""
    if not mask.any():
        return []
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    return np.bincount(np.log2(areas).astype(int)).tolist()
