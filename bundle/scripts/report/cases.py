# SPDX-License-Identifier: Apache-2.0

"""Single images of an evaluation: which to show, and their pictures."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..common.errors import InputError
from ..evaluation.scores import FACTS, read_scores
from ..image_io.pages import read_pages
from ..image_io.pictures import PALETTE, draw_overlay
from ..image_io.readers import ImageFileReader

__all__ = ["ERRORS", "Case", "Drawn", "Picture", "choose", "color_of", "draw", "mask_path", "read_cases", "short_names"]

_SIDE = 320  # pixels, the longest of a picture
_WORST, _MEDIAN, _BEST = 6, 3, 3
_LONGEST_STEM = 100  # bytes of a file name, which file systems limit to 255

#: what a pixel of the error picture can be, with its color's place in the palette: these four differ in lightness too
ERRORS = {"right": 2, "predicted, not in the label": 6, "missed": 4, "another class": 7}


class Case(NamedTuple):
    """A line of ``scores.csv``.

    Attributes:
        image: path of the image.
        group: that it belongs to.
        scores: by column; NaN where there is no number.
    """

    image: str
    group: str
    scores: dict[str, float]


class Picture(NamedTuple):
    """A picture to be embedded.

    Attributes:
        caption: what it shows.
        uri: the JPEG as a data URI.
        width, height: in pixels.
    """

    caption: str
    uri: str
    width: int
    height: int


class Drawn(NamedTuple):
    """A case in pictures.

    Attributes:
        case: the case.
        pictures: image, label, prediction and errors; empty if they cannot be drawn.
        note: why the pictures, or the image among them, are missing; else empty.
    """

    case: Case
    pictures: list[Picture]
    note: str


def read_cases(path: Path) -> list[Case]:
    """Read the table of an evaluation.

    Args:
        path: of ``scores.csv``.

    Raises:
        InputError: if it cannot be read, has no column ``dice``, or holds what is no number.
    """
    cases = []
    for image, row in read_scores(path, allow_empty=True).items():
        if "dice" not in row:
            raise InputError(f"{path} has no column dice, by which cases are chosen; evaluate again with Dice")
        numbers = {name: value for name, value in row.items() if name not in FACTS}
        cases.append(Case(image, row["group"], numbers))
    return cases


def short_names(cases: Sequence[Case]) -> dict[str, str]:
    """File names by path: what follows the folder that all images share.

    Args:
        cases: of an evaluation.
    """
    try:
        shared = os.path.commonpath([os.path.dirname(case.image) for case in cases])
    except ValueError:  # absolute and relative, or on several drives
        return {case.image: case.image for case in cases}
    return {case.image: os.path.relpath(case.image, shared or os.curdir) for case in cases}


def choose(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """The cases to show: the 6 of lowest Dice, 3 around the median, and the 3 best. None is shown twice.

    Args:
        cases: of an evaluation.

    Returns:
        ``"Worst"`` and ``"Median"`` from low to high Dice, ``"Best"`` from high to low; kinds without a case are left
        out.
    """
    scored = sorted((case for case in cases if not math.isnan(case.scores["dice"])), key=lambda c: c.scores["dice"])
    middle = len(scored) // 2
    ranks = list(range(len(scored)))
    worst, rest = ranks[:_WORST], ranks[_WORST:]
    best, rest = rest[-_BEST:], rest[:-_BEST]
    median = sorted(sorted(rest, key=lambda rank: abs(rank - middle))[:_MEDIAN])
    kinds = {"Worst": worst, "Median": median, "Best": best[::-1]}
    return {kind: [scored[rank] for rank in chosen] for kind, chosen in kinds.items() if chosen}


def mask_path(folder: Path, image: str) -> Path:
    """Where the mask of an image is kept: under its stem, and a digest of its path, as stems are not unique.

    Args:
        folder: of the masks.
        image: path of the image, as its metadata has it.
    """
    stem = os.fsencode(Path(image).stem)[:_LONGEST_STEM].decode(errors="ignore")
    return folder / f"{stem}_{hashlib.sha256(os.fsencode(image)).hexdigest()[:6]}.png"


def draw(case: Case, folder: Path, root: Path) -> Drawn:
    """Draw a case from its image file and the masks that the evaluation has saved.

    Args:
        case: the case.
        folder: of the evaluation, with ``masks`` and ``labels``.
        root: from where a relative path of an image starts.
    """
    paths = [mask_path(folder / name, case.image) for name in ("labels", "masks")]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        return Drawn(case, [], f"No pictures: {missing[0]} is not there.")
    reader = ImageFileReader()
    label, prediction = (read_pages(str(path), reader.max_pixels)[0].values for path in paths)  # palette indices: ids
    image, note = _image(str(root / case.image), label.shape, reader)
    image = np.moveaxis(_small(image, Image.Resampling.LANCZOS), -1, 0)
    label, prediction = (_small(ids, Image.Resampling.NEAREST) for ids in (label, prediction))
    errors = _errors(label, prediction)
    drawn: Mapping[str, NDArray[np.uint8]] = {
        "Image": draw_overlay(image, np.zeros_like(label)),
        "Label": draw_overlay(image, label),
        "Prediction": draw_overlay(image, prediction),
        "Errors": draw_overlay(image, errors, opacity=0.7),
    }
    return Drawn(case, [_picture(caption, pixels) for caption, pixels in drawn.items()], note)


def color_of(place: int) -> str:
    """A color of the palette in the words of CSS."""
    return "#" + "".join(f"{value:02x}" for value in PALETTE[place].tolist())


def _image(path: str, shape: tuple[int, ...], reader: ImageFileReader) -> tuple[NDArray[np.uint8], str]:
    """An image (H, W, 3), and why it is black instead of what the file holds."""
    try:
        pixels = reader.get_data(reader.read(path))[0].round().astype(np.uint8)
        problem = "" if pixels.shape[:2] == shape else f"{path} has another size than when it was scored"
    except InputError as error:
        problem = str(error)
    return (np.zeros((*shape, 3), np.uint8), f"The image is not shown: {problem}.") if problem else (pixels, "")


def _small(pixels: NDArray[np.uint8], resample: Image.Resampling) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) whose longest side is at most ``_SIDE``; a very small one with each pixel repeated."""
    picture = Image.fromarray(pixels)
    times = max(1, _SIDE // max(picture.size))
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((_SIDE, _SIDE), resample)
    return np.asarray(picture)


def _errors(label: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What each pixel is, as a place in the palette; 0 where neither mask has an object."""
    there, found, same = label > 0, prediction > 0, label == prediction
    kinds = [there & same, ~there & found, there & ~found, there & found & ~same]
    return np.select(kinds, list(ERRORS.values()), 0).astype(np.uint8)


def _picture(caption: str, pixels: NDArray[np.uint8]) -> Picture:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88, subsampling=0)  # colors keep their edges
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(caption, uri, pixels.shape[1], pixels.shape[0])
