# SPDX-License-Identifier: Apache-2.0

"""Find the problems of a dataset by the facts of its survey: what cannot be used, and what deserves a look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..common.counts import counted
from .duplicates import NearDuplicates
from .summaries import num_classes, zoom
from .survey import Facts

__all__ = ["Problem", "find_problems"]

#: "kind", "fatal", "text" and "files", as in the report
Problem = dict[str, Any]

_SMEARED = 0.0005  # share of a mask's pixels; it is larger after JPEG compression, and smaller for a few soft edges
_NEARLY_ALL = 0.9  # share of an image's pixels; a mask that covers more may be inverted
_THIN = 3.0  # pixels; narrower objects are lost in a network that halves the size of its maps several times
_FEW = 3  # images; scores of so few say little


def find_problems(
    facts: Sequence[Facts],
    duplicates: NearDuplicates,
    *,
    out_channels: int,
    colors: Sequence[Sequence[int]] | None,
    spatial_size: tuple[int, int] | None,
    training: bool,
) -> list[Problem]:
    """List the problems of all files.

    Args:
        facts: facts of all images.
        duplicates: near-duplicates among the images.
        out_channels: number of classes. The background counts as a class.
        colors: colors of the classes, if the masks are drawn in colors.
        spatial_size: (H, W) in pixels to which images will be fitted; None if images keep their size.
        training: whether the data is for a training. If not, a model is scored on it.

    Returns:
        The problems: ``kind``; ``fatal``, whether it stops the run; ``text``; and ``files``, the images that have it.
    """
    usable = [image for image in facts if image.problem is None]
    problems: list[Problem] = []

    def add(kind: str, text: str, files: Sequence[str], *, fatal: bool = False) -> None:
        if files:
            problems.append({"kind": kind, "fatal": fatal, "text": text, "files": list(files)})

    def where(has_problem: Callable[[Facts], bool]) -> list[str]:
        return [image.image for image in usable if has_problem(image)]

    for image in facts:
        add("unusable", image.problem or "", [image.image] if image.problem else [], fatal=True)
    empty = where(lambda image: sum(image.pixels[1:]) == 0)
    nothing = f"none of the {len(facts)} masks holds an object; are these the masks, and is 0 the background?"
    add("no object", nothing, empty if training and len(empty) == len(usable) else [], fatal=True)
    add("empty mask", f"{counted(len(empty), 'mask', 'is', 'are')} empty", empty)
    nearly_all = where(lambda image: max(image.pixels[1:]) > _NEARLY_ALL * sum(image.pixels))
    text = f"{counted(len(nearly_all), 'mask', 'covers', 'cover')} nearly all of the image; inverted?"
    add("full mask", text, nearly_all)
    if colors is not None or out_channels == 2:  # ids of more classes are never cut
        smeared = where(lambda image: image.smeared > _SMEARED)
        add("smeared mask", _smeared(smeared, colors is not None), smeared)
    constant = where(lambda image: image.low == image.high)
    add("constant image", f"{counted(len(constant), 'image', 'has', 'have')} one intensity only", constant)
    copies = sorted({facts[position].image for pair in duplicates for position in pair[:2]})
    text = f"{len(copies)} images have near-duplicates ({counted(duplicates.total, 'pair')})"
    add("near-duplicates", text, copies)
    for label in range(1, out_channels if usable else 0):
        if not any(image.pixels[label] for image in usable):
            classes = num_classes(usable)
            cure = f"; set --out_channels {classes}" if training and label >= classes else ""
            text = f"class {label} is in none of the {counted(len(usable), 'mask')}{cure}"
            add("missing class", text, [usable[0].image])
        elif spatial_size is not None:
            add("thin objects", *_thin(usable, label, spatial_size, training))
    if not training and 0 < len(usable) <= _FEW:
        text = f"{counted(len(usable), 'image')} to score, so the scores say little"
        add("few images", f"{text}; score more images, or cross-validate", [image.image for image in usable])
    return problems


def _smeared(files: Sequence[str], by_color: bool) -> str:
    has = counted(len(files), "mask", "has", "have")
    if by_color:
        colors = "colors that are neither black nor one of label_colors, as from soft edges or JPEG"
        return f"{has} {colors}; such a pixel takes the class of the nearest color"
    values = "values between background and object, as from gray edges or JPEG"
    return f"{has} {values}; they are cut at half of full scale"


def _thin(
    usable: Sequence[Facts], label: int, spatial_size: tuple[int, int], training: bool
) -> tuple[str, list[str]]:
    """Return the text about a class whose objects are thin because images are made smaller, and the images with them.

    There are no such images if at least half of the images have wider objects, or if fitting does not shrink them.
    """
    objects = [(image, width) for image in usable if (width := image.widths[label - 1]) is not None]
    before = float(np.median([width for _, width in objects]))
    fitted = float(np.median([width * zoom(image, spatial_size) for image, width in objects]))
    if fitted >= _THIN or fitted >= before:
        return "", []
    height, width = spatial_size
    native = f"{'' if training else 'a training with '}--geometry native keeps their width"
    return (
        f"objects of class {label} are {before:.1f} pixels wide, and {fitted:.1f} pixels after fitting to {height} x "
        f"{width}, which is too thin to learn well; {native}",
        [image.image for image, width in objects if width * zoom(image, spatial_size) < _THIN],
    )
