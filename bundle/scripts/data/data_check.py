# SPDX-License-Identifier: Apache-2.0

"""Check a dataset by the facts of its survey: report problems, and suggest settings that suit the data."""

from __future__ import annotations

import json
import logging
import math
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np

from ..common.errors import InputError
from ..common.files import write_json
from ..common.limits import divisible
from .check_parts import lost_contrast, other_classes
from .duplicates import Pair
from .layouts.files import first_names
from .splits.leaks import leak_text
from .survey import Facts

__all__ = ["check_data", "report_check"]

Report = dict[str, Any]

_SMEARED = 0.0005  # share of a mask's pixels; it is larger after JPEG compression, and smaller for a few soft edges
_NEARLY_ALL = 0.9  # share of an image's pixels; a mask that covers more may be inverted
_SIDES = (128, 512)  # smallest and largest suggested size in pixels
_TALL = 0.9  # share of the images that fit into the suggested size without more padding than a square has
# These settings improved scores of nuclei in DSB2018. They did not improve scores of skin lesions, which are not small.
_FOR_SMALL = {"norm": "group", "detail": True, "refine": True}
_SMALL = 32  # pixels; an object is small if its area is less than that of a square of this side
_STEPS = 8  # smallest number of steps that an epoch should have
_LISTED = 1000  # largest number of near-duplicates in a report

_logger = logging.getLogger("qtseg")


def check_data(
    facts: Sequence[Facts],
    pairs: Sequence[Pair],
    *,
    spatial_size: tuple[int, int] | None,
    out_channels: int,
    report_path: str | os.PathLike[str],
    training: bool = True,
    for_small: bool = True,
    intensities: str = "min_max",
    class_names: Sequence[str] = (),
) -> Report:
    """List the problems of all files, summarize the images, suggest settings, and write all of it to a report.

    Args:
        facts: facts of all images, from :py:func:`.survey.survey_images`.
        pairs: near-duplicates among the images, from :py:func:`.duplicates.near_duplicates`.
        spatial_size: (H, W) in pixels to which images will be fitted; None if images keep their size.
        out_channels: number of classes. The background counts as a class.
        report_path: path of the JSON file for the report.
        training: whether the data is for a training, which needs at least one object in the masks.
        intensities: how the intensities of the images will be scaled, as the knob of this name says.
        class_names: names of the classes, the background first, if the dataset states them.
        for_small: whether the network already has all settings that help with small objects, or cannot have them.

    Returns:
        The report with the keys ``num_images``, ``problems``, ``sizes``, ``intensities``, ``classes``,
        ``num_near_duplicates``, ``near_duplicates``, ``suggestions`` and ``worth_comparing``. The last one holds
        settings that may give better scores. The last two are empty if ``training`` is false.

    Raises:
        InputError: if a file cannot be used, or if a training has no object to learn from. The report is written
            before.
    """
    usable = [image for image in facts if image.problem is None]
    problems = _problems(facts, usable, pairs, out_channels, training)
    problems += [*lost_contrast(usable, intensities), *other_classes(facts, class_names, out_channels, training)]
    report: Report = {"num_images": len(facts), "problems": problems}
    if usable:
        report |= {
            "sizes": {
                side: _quartiles([image.size[axis] for image in usable])
                for axis, side in enumerate(("height", "width"))
            },
            "intensities": {
                name: _quartiles([getattr(image, name) for image in usable])
                for name in ("low", "high", "mean", "spread")
            },
            "classes": [
                {**_class(usable, label, spatial_size), "name": name}
                for label, name in zip(range(1, out_channels), [*class_names[1:], *[""] * out_channels])
            ],
            "suggestions": {},
            "worth_comparing": {},
        }
        if training:  # a trained model keeps its settings, so nothing is suggested for an evaluation
            report["suggestions"] = _suggest(usable)
            if not for_small and _are_small(usable, spatial_size and report["suggestions"]["spatial_size"]):
                report["worth_comparing"] = _FOR_SMALL
            if spatial_size is None:
                del report["suggestions"]["spatial_size"]  # images keep their size, and the knob is the window's size
    report["num_near_duplicates"] = len(pairs)
    report["near_duplicates"] = _listed(pairs, facts)
    if idist.get_rank() == 0:
        write_json(report_path, report)
    fatal = [problem for problem in problems if problem["fatal"]]
    if fatal:
        others = sum(problem["kind"] == "unusable" for problem in fatal) - 1
        more = f" ({others} more file(s) cannot be used; {report_path} lists all)" if others > 0 else ""
        raise InputError(fatal[0]["text"] + more)
    return report


def report_check(report: Report, leaks: Sequence[dict[str, Any]], report_path: str | os.PathLike[str]) -> None:
    """Log the report, and add the leaks of the folds to its file.

    Args:
        report: report from :py:func:`check_data`.
        leaks: leaks from :py:func:`.splits.leaks.find_leaks`.
        report_path: path of the report's file.
    """
    if idist.get_rank() > 0:
        return
    write_json(report_path, {**report, "leaks": list(leaks)})
    height, width = (report["sizes"][side] for side in ("height", "width"))
    _logger.info(
        f"check:    {report['num_images']} images of {width['min']:g} x {height['min']:g} to {width['max']:g} x "
        f"{height['max']:g} pixels"
    )
    for row in report["classes"]:
        _logger.info(
            f"check:    class {row['id']}{row['name'] and ' (' + row['name'] + ')'} is in {row['images']} masks, "
            f"{row['share']:.1%} of all pixels, {row['objects']} objects"
            + (f", {row['vanishing']} below a pixel" if row["vanishing"] else "")
        )
    for problem in report["problems"]:
        _logger.warning(f"check:    {problem['text']}: {first_names(problem['files'])}")
    for leak in leaks:
        example = " and ".join(f"{Path(image).name} ({part})" for part, image in leak["groups"][0].items())
        _logger.warning(f"check:    {leak_text(leak)}, such as {example}")
    if report["worth_comparing"]:
        _logger.info(
            f"check:    objects are small: {_options(report['worth_comparing'])} may do better, as on nuclei of "
            "several microscopes (docs/contests.md); scripts.contest compares"
        )
    suggested = f"would suit this data: {_options(report['suggestions'])}; " if report["suggestions"] else ""
    _logger.info(f"check:    {suggested}full report: {report_path}")


def _problems(
    facts: Sequence[Facts], usable: Sequence[Facts], pairs: Sequence[Pair], out_channels: int, training: bool
) -> list[dict[str, Any]]:
    problems: list[dict[str, Any]] = []

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
    add("empty mask", f"{len(empty)} mask(s) are empty", empty)
    nearly_all = where(lambda image: max(image.pixels[1:]) > _NEARLY_ALL * sum(image.pixels))
    add("full mask", f"{len(nearly_all)} mask(s) cover nearly all of the image; inverted?", nearly_all)
    smeared = where(lambda image: image.smeared > _SMEARED)
    text = f"{len(smeared)} mask(s) have values between background and object, as from gray edges or JPEG"
    add("smeared mask", f"{text}; they are cut at half of full scale", smeared)
    constant = where(lambda image: image.low == image.high)
    add("constant image", f"{len(constant)} image(s) have one intensity only", constant)
    copies = sorted({facts[position].image for pair in pairs for position in pair[:2]})
    add("near-duplicates", f"{len(copies)} images have near-duplicates ({len(pairs)} pairs)", copies)
    for label in range(1, out_channels if usable else 0):
        if not any(image.pixels[label] for image in usable):
            num_classes = _num_classes(usable)
            cure = f"; set --out_channels {num_classes}" if training and label >= num_classes else ""
            add("missing class", f"class {label} is in none of the {len(usable)} masks{cure}", [usable[0].image])
    return problems


def _num_classes(usable: Sequence[Facts]) -> int:
    """Return the number of classes that the masks show, with the background, and at least 2."""
    return max(2, 1 + max(label for image in usable for label, count in enumerate(image.pixels) if count))


def _class(usable: Sequence[Facts], label: int, spatial_size: tuple[int, int] | None) -> dict[str, Any]:
    """Summarize a class over all masks. An object is vanishing if it is smaller than a pixel of the fitted image."""
    objects = vanishing = 0
    for image in usable:
        counts = image.objects[label - 1]
        zoom = 1.0 if spatial_size is None else min(target / side for target, side in zip(spatial_size, image.size))
        exponent = max(0, math.ceil(-2 * math.log2(min(zoom, 1))))  # fitting makes one pixel of 2^exponent pixels
        objects += sum(counts)
        vanishing += sum(counts[:exponent])
    pixels = sum(sum(image.pixels) for image in usable)
    return {
        "id": label,
        "images": sum(image.pixels[label] > 0 for image in usable),
        "share": sum(image.pixels[label] for image in usable) / pixels,
        "objects": objects,
        "vanishing": vanishing,
    }


def _suggest(usable: Sequence[Facts]) -> dict[str, Any]:
    """Suggest a size, a batch size and a number of classes."""
    sizes = np.array([image.size for image in usable])
    longest = float(np.median(sizes.max(1)))
    side = min(max(divisible(longest), _SIDES[0]), _SIDES[1])
    # height and width that hold most of the images, after every image is fitted to a square of this side
    fitted = np.quantile(sizes * (side / sizes.max(1, keepdims=True)), _TALL, axis=0)
    height, width = (min(side, divisible(float(value))) for value in fitted)
    batch = 2 ** int(math.log2(max(2, min(32, len(usable) / _STEPS))))
    return {"spatial_size": [height, width], "batch_size": batch, "out_channels": _num_classes(usable)}


def _are_small(usable: Sequence[Facts], spatial_size: Sequence[int] | None) -> bool:
    """Return whether objects are small in at least half of the images that have objects.

    The images are fitted to ``spatial_size`` before, or keep their own size if it is None.
    """
    zooms = [1.0 if spatial_size is None else max(spatial_size) / max(image.size) for image in usable]
    areas = [_typical_area(image) * zoom**2 for image, zoom in zip(usable, zooms) if sum(image.pixels[1:])]
    return bool(areas) and float(np.median(areas)) < _SMALL**2


def _typical_area(facts: Facts) -> float:
    """Return the typical area of an image's objects in pixels.

    Half of the foreground belongs to objects of at most about this area, so tiny specks hardly change it.
    """
    counts = np.array([*zip_longest(*facts.objects, fillvalue=0)]).sum(1)  # n-th: objects of 2^n to 2^(n+1) - 1 pixels
    areas = 1.5 * 2.0 ** np.arange(len(counts))
    covered = np.cumsum(counts * areas)
    return float(areas[np.searchsorted(covered, covered[-1] / 2)])


def _options(settings: Mapping[str, Any]) -> str:
    """Return settings in the form of the command line."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    return " ".join(f"--{name} {shlex.quote(text)}" for name, text in texts.items())


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    quartiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return dict(zip(("min", "lower", "median", "upper", "max"), quartiles))


def _listed(pairs: Sequence[Pair], facts: Sequence[Facts]) -> list[list[Any]]:
    """Return near-duplicates by their paths, in the form of the report."""
    return [[facts[i].image, facts[j].image, likeness] for i, j, likeness in pairs[:_LISTED]]
