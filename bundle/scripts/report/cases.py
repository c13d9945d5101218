# SPDX-License-Identifier: Apache-2.0

"""Choose images of an evaluation to show on the page, and draw them."""

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

_SIDE = 320  # longest side of a picture in pixels
_WORST, _MEDIAN, _BEST = 6, 3, 3
_LONGEST_STEM = 100  # bytes of a file name, which file systems limit to 255

#: The kinds of pixels in the picture of errors, and the indices of their colors in the palette. The four colors also
#: differ in lightness, for readers who cannot distinguish hues.
ERRORS = {"right": 2, "predicted, not in the label": 6, "missed": 4, "another class": 7}


class Case(NamedTuple):
    """A line of ``scores.csv``.

    Attributes:
        image: path of the image.
        group: name of the group that the image belongs to.
        scores: the numbers of the line, by column; NaN for an empty cell.
    """

    image: str
    group: str
    scores: dict[str, float]


class Picture(NamedTuple):
    """A picture that is embedded in the page.

    Attributes:
        caption: what the picture shows.
        uri: the picture as a data URI, in JPEG format.
        width, height: size of the picture in pixels.
    """

    caption: str
    uri: str
    width: int
    height: int


class Drawn(NamedTuple):
    """A case and its pictures.

    Attributes:
        case: the case.
        pictures: pictures of the image, the label, the prediction and the errors; empty if they cannot be drawn.
        note: why the pictures, or the image among them, are missing; empty if nothing is missing.
    """

    case: Case
    pictures: list[Picture]
    note: str


def read_cases(path: Path) -> list[Case]:
    """Read the table of scores of an evaluation.

    Args:
        path: path of ``scores.csv``.

    Raises:
        InputError: if the file cannot be read, has no column ``dice``, or has a cell that is not a number.
    """
    cases = []
    for image, row in read_scores(path, allow_empty=True).items():
        if "dice" not in row:
            raise InputError(f"{path} has no column dice, by which cases are chosen; evaluate again with Dice")
        numbers = {name: value for name, value in row.items() if name not in FACTS}
        cases.append(Case(image, row["group"], numbers))
    return cases


def short_names(cases: Sequence[Case]) -> dict[str, str]:
    """Return names for the images of cases, by path: their paths relative to the folder that contains all of them.

    Args:
        cases: cases of an evaluation.
    """
    try:
        shared = os.path.commonpath([os.path.dirname(case.image) for case in cases])
    except ValueError:  # some paths are absolute and some relative, or they are on several drives
        return {case.image: case.image for case in cases}
    return {case.image: os.path.relpath(case.image, shared or os.curdir) for case in cases}


def choose(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Choose the cases to show: the 6 with the lowest Dice, 3 around the median, and the 3 with the highest Dice.

    No case is chosen twice.

    Args:
        cases: cases of an evaluation.

    Returns:
        Lists of cases by kind: ``"Worst"`` and ``"Median"`` from low to high Dice, ``"Best"`` from high to low Dice.
        Kinds without a case are left out.
    """
    scored = sorted((case for case in cases if not math.isnan(case.scores["dice"])), key=lambda c: c.scores["dice"])
    middle = len(scored) // 2
    ranks = list(range(len(scored)))
    worst, rest = ranks[:_WORST], ranks[_WORST:]
    best, rest = rest[-_BEST:], rest[:-_BEST]
    median = sorted(sorted(rest, key=lambda rank: abs(rank - middle))[:_MEDIAN])
    kinds = {"Worst": worst, "Median": median, "Best": best[::-1]}
    return {kind: [scored[rank] for rank in kind_ranks] for kind, kind_ranks in kinds.items() if kind_ranks}


def mask_path(folder: Path, image: str) -> Path:
    """Return the path of the mask of an image.

    The name of the file is the image's stem and a digest of the image's path, because stems are not unique.

    Args:
        folder: folder of the masks.
        image: path of the image, as in its metadata.
    """
    stem = os.fsencode(Path(image).stem)[:_LONGEST_STEM].decode(errors="ignore")
    return folder / f"{stem}_{hashlib.sha256(os.fsencode(image)).hexdigest()[:6]}.png"


def draw(case: Case, folder: Path, root: Path) -> Drawn:
    """Draw a case from its image file and the masks that the evaluation saved.

    Args:
        case: the case.
        folder: folder of the evaluation, with the folders ``masks`` and ``labels``.
        root: folder that a relative path of an image starts from.
    """
    paths = [mask_path(folder / name, case.image) for name in ("labels", "masks")]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        return Drawn(case, [], f"No pictures: {missing[0]} is not there.")
    reader = ImageFileReader()
    # The values of both masks are indices of the palette, which are the label ids.
    label, prediction = (read_pages(str(path), reader.max_pixels)[0].values for path in paths)
    image, note = _image(str(root / case.image), label.shape, reader)
    image = np.moveaxis(_small(image, Image.Resampling.LANCZOS), -1, 0)
    label, prediction = (_small(ids, Image.Resampling.NEAREST) for ids in (label, prediction))
    errors = _errors(label, prediction)
    pictures: Mapping[str, NDArray[np.uint8]] = {
        "Image": draw_overlay(image, np.zeros_like(label)),
        "Label": draw_overlay(image, label),
        "Prediction": draw_overlay(image, prediction),
        "Errors": draw_overlay(image, errors, opacity=0.7),
    }
    return Drawn(case, [_picture(caption, pixels) for caption, pixels in pictures.items()], note)


def color_of(place: int) -> str:
    """Return a color of the palette in CSS notation, such as ``#ff0000``.

    Args:
        place: index of the color in the palette.
    """
    return "#" + "".join(f"{value:02x}" for value in PALETTE[place].tolist())


def _image(path: str, shape: tuple[int, ...], reader: ImageFileReader) -> tuple[NDArray[np.uint8], str]:
    """Read an image, (H, W, 3) uint8; if it cannot be shown, return a black image and a note that says why."""
    try:
        pixels = reader.get_data(reader.read(path))[0].round().astype(np.uint8)
        problem = "" if pixels.shape[:2] == shape else f"{path} has another size than when it was scored"
    except InputError as error:
        problem = str(error)
    return (np.zeros((*shape, 3), np.uint8), f"The image is not shown: {problem}.") if problem else (pixels, "")


def _small(pixels: NDArray[np.uint8], resample: Image.Resampling) -> NDArray[np.uint8]:
    """Resize a picture, (H, W) or (H, W, 3), so that its longest side is at most ``_SIDE``; enlarge very small ones."""
    picture = Image.fromarray(pixels)
    times = max(1, _SIDE // max(picture.size))
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((_SIDE, _SIDE), resample)
    return np.asarray(picture)


def _errors(label: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the kind of every pixel as an index of the palette, from two (H, W) masks; 0 if both are background."""
    labeled, predicted, same = label > 0, prediction > 0, label == prediction
    kinds = [labeled & same, ~labeled & predicted, labeled & ~predicted, labeled & predicted & ~same]
    return np.select(kinds, list(ERRORS.values()), 0).astype(np.uint8)


def _picture(caption: str, pixels: NDArray[np.uint8]) -> Picture:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88, subsampling=0)  # keeps the edges of colors sharp
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(caption, uri, pixels.shape[1], pixels.shape[0])
