# SPDX-License-Identifier: Apache-2.0

"""Judge what a survey of the data has seen: what must be mended, what may be, and which settings suit it."""

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
from .duplicates import Pair
from .layouts.files import first_names
from .splits.leaks import leak_text
from .survey import Facts

__all__ = ["check_data", "report_check"]

Report = dict[str, Any]

_SMEARED = 0.0005  # share of a mask's pixels; JPEG leaves more, a few soft edges less
_NEARLY_ALL = 0.9  # of an image's pixels in one mask
_SIDES = (128, 512)  # smallest and largest suggestion
_TALL = 0.9  # quantile of the images that a suggested size holds without more padding than a square has
# settings that nuclei of DSB2018 gained by, and skin lesions, which are larger than the size, did not
_FOR_SMALL = {"norm": "group", "detail": True, "refine": True}
_SMALL = 32  # pixels wide
_STEPS = 8  # an epoch should have so many
_LISTED = 1000  # near-duplicates in a report

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
) -> Report:
    """List problems by file, sum up the images, and suggest settings.

    Args:
        facts: of every image, from :py:func:`.survey.survey_images`.
        pairs: of them, from :py:func:`.duplicates.near_duplicates`.
        spatial_size: (H, W) in pixels that images will be fitted to; None where they keep their size.
        out_channels: number of classes, the background counted.
        report_path: JSON file for the report.
        training: whether there must be an object to learn.
        for_small: whether the network has all that helps with small objects, or cannot have it.

    Returns:
        The report: ``num_images``, ``problems``, ``sizes``, ``intensities``, ``classes``, ``near_duplicates``,
        ``suggestions``, and ``worth_comparing``, settings that may do better; both are empty unless ``training``.

    Raises:
        InputError: if a file cannot be used, or there is nothing to learn. The report is written before.
    """
    usable = [each for each in facts if each.problem is None]
    problems = _problems(facts, usable, pairs, out_channels, training)
    report: Report = {"num_images": len(facts), "problems": problems}
    if usable:
        report |= {
            "sizes": {
                side: _quartiles([each.size[axis] for each in usable]) for axis, side in enumerate(("height", "width"))
            },
            "intensities": {
                name: _quartiles([getattr(each, name) for each in usable]) for name in ("low", "high", "mean", "spread")
            },
            "classes": [_class(usable, label, spatial_size) for label in range(1, out_channels)],
            "suggestions": {},
            "worth_comparing": {},
        }
        if training:  # a model keeps to what it was trained with
            report["suggestions"] = _suggest(usable)
            if not for_small and _are_small(usable, spatial_size and report["suggestions"]["spatial_size"]):
                report["worth_comparing"] = _FOR_SMALL
            if spatial_size is None:
                del report["suggestions"]["spatial_size"]  # which is of windows there
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
        report: from :py:func:`check_data`.
        leaks: from :py:func:`find_leaks`.
        report_path: the report's file.
    """
    if idist.get_rank() > 0:
        return
    write_json(report_path, {**report, "leaks": list(leaks)})
    height, width = (report["sizes"][side] for side in ("height", "width"))
    _logger.info(
        f"check:    {report['num_images']} images of {width['min']:g} x {height['min']:g} to {width['max']:g} x "
        f"{height['max']:g} pixels"
    )
    for found in report["classes"]:
        _logger.info(
            f"check:    class {found['id']} is in {found['images']} masks, {found['share']:.1%} of all pixels, "
            f"{found['objects']} objects" + (f", {found['vanishing']} below a pixel" if found["vanishing"] else "")
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
    _logger.info(f"check:    {suggested}all of the check: {report_path}")


def _problems(
    facts: Sequence[Facts], usable: Sequence[Facts], pairs: Sequence[Pair], out_channels: int, training: bool
) -> list[dict[str, Any]]:
    problems: list[dict[str, Any]] = []

    def add(kind: str, text: str, files: Sequence[str], *, fatal: bool = False) -> None:
        if files:
            problems.append({"kind": kind, "fatal": fatal, "text": text, "files": list(files)})

    def where(seen: Callable[[Facts], bool]) -> list[str]:
        return [each.image for each in usable if seen(each)]

    for each in facts:
        add("unusable", each.problem or "", [each.image] if each.problem else [], fatal=True)
    empty = where(lambda each: sum(each.pixels[1:]) == 0)
    nothing = f"none of the {len(facts)} masks holds an object; are these the masks, and is 0 the background?"
    add("no object", nothing, empty if training and len(empty) == len(usable) else [], fatal=True)
    add("empty mask", f"{len(empty)} mask(s) are empty", empty)
    nearly_all = where(lambda each: max(each.pixels[1:]) > _NEARLY_ALL * sum(each.pixels))
    add("full mask", f"{len(nearly_all)} mask(s) cover nearly all of the image; inverted?", nearly_all)
    smeared = where(lambda each: each.smeared > _SMEARED)
    text = f"{len(smeared)} mask(s) have values between, as of gray edges or JPEG, cut at half scale"
    add("smeared mask", text, smeared)
    constant = where(lambda each: each.low == each.high)
    add("constant image", f"{len(constant)} image(s) have one intensity only", constant)
    copies = sorted({facts[position].image for pair in pairs for position in pair[:2]})
    add("near-duplicates", f"{len(copies)} images have near-duplicates ({len(pairs)} pairs)", copies)
    for label in range(1, out_channels if usable else 0):
        if not any(each.pixels[label] for each in usable):
            cure = f"; set --out_channels {_seen(usable)}" if training and label >= _seen(usable) else ""
            add("missing class", f"class {label} is in none of the {len(usable)} masks{cure}", [usable[0].image])
    return problems


def _seen(usable: Sequence[Facts]) -> int:
    return max(2, 1 + max(label for each in usable for label, count in enumerate(each.pixels) if count))


def _class(usable: Sequence[Facts], label: int, spatial_size: tuple[int, int] | None) -> dict[str, Any]:
    objects = vanishing = 0
    for each in usable:
        counts = each.objects[label - 1]
        zoom = 1.0 if spatial_size is None else min(target / side for target, side in zip(spatial_size, each.size))
        gone = max(0, math.ceil(-2 * math.log2(min(zoom, 1))))  # 2^gone pixels become one
        objects += sum(counts)
        vanishing += sum(counts[:gone])
    pixels = sum(sum(each.pixels) for each in usable)
    return {
        "id": label,
        "images": sum(each.pixels[label] > 0 for each in usable),
        "share": sum(each.pixels[label] for each in usable) / pixels,
        "objects": objects,
        "vanishing": vanishing,
    }


def _suggest(usable: Sequence[Facts]) -> dict[str, Any]:
    sizes = np.array([each.size for each in usable])
    longest = float(np.median(sizes.max(1)))
    side = min(max(divisible(longest), _SIDES[0]), _SIDES[1])
    # of each image fitted to that side, the height and the width
    fitted = np.quantile(sizes * (side / sizes.max(1, keepdims=True)), _TALL, axis=0)
    height, width = (min(side, divisible(float(value))) for value in fitted)
    batch = 2 ** int(math.log2(max(2, min(32, len(usable) / _STEPS))))
    return {"spatial_size": [height, width], "batch_size": batch, "out_channels": _seen(usable)}


def _are_small(usable: Sequence[Facts], spatial_size: Sequence[int] | None) -> bool:
    """Whether objects are small in half of the images that have any, fitted to a size, or at their own."""
    zooms = [1.0 if spatial_size is None else max(spatial_size) / max(each.size) for each in usable]
    areas = [_typical_area(each) * zoom**2 for each, zoom in zip(usable, zooms) if sum(each.pixels[1:])]
    return bool(areas) and float(np.median(areas)) < _SMALL**2


def _typical_area(facts: Facts) -> float:
    """The area that half of an image's foreground reaches in one object, so that specks count for little."""
    counts = np.array([*zip_longest(*facts.objects, fillvalue=0)]).sum(1)  # of n-th are 2^n to 2^(n+1) - 1 pixels
    areas = 1.5 * 2.0 ** np.arange(len(counts))
    covered = np.cumsum(counts * areas)
    return float(areas[np.searchsorted(covered, covered[-1] / 2)])


def _options(settings: Mapping[str, Any]) -> str:
    """Settings as the command line takes them."""
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in told.items())


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    quartiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return dict(zip(("min", "lower", "median", "upper", "max"), quartiles))


def _listed(pairs: Sequence[Pair], facts: Sequence[Facts]) -> list[list[Any]]:
    return [[facts[i].image, facts[j].image, likeness] for i, j, likeness in pairs[:_LISTED]]
