# SPDX-License-Identifier: Apache-2.0

"""Check a dataset by the facts of its survey: report problems, and suggest settings that suit the data."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from ..common.counts import counted
from ..common.errors import InputError
from ..common.files import write_json
from .check_parts import lost_contrast, other_classes
from .duplicates import NearDuplicates
from .layouts.files import first_names
from .problems import Problem, find_problems
from .splits.leaks import leak_text
from .suggestions import FOR_SMALL, are_small, suggest
from .summaries import summarize
from .survey import Facts

__all__ = ["check_data", "report_check"]

Report = dict[str, Any]

_LISTED = 1000  # largest number of near-duplicates in a report

_logger = logging.getLogger("qtseg")


def check_data(
    facts: Sequence[Facts],
    pairs: NearDuplicates,
    *,
    spatial_size: tuple[int, int] | None,
    out_channels: int,
    report_path: str | os.PathLike[str],
    colors: Sequence[Sequence[int]] | None = None,
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
        colors: colors of the classes, if the masks are drawn in colors.
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
    problems = find_problems(
        facts, pairs, out_channels=out_channels, colors=colors, spatial_size=spatial_size, training=training
    )
    problems += [*lost_contrast(usable, intensities), *other_classes(facts, class_names, out_channels, training)]
    report: Report = {"num_images": len(facts), "problems": problems}
    if usable:
        report |= {**summarize(usable, out_channels, spatial_size), "suggestions": {}, "worth_comparing": {}}
        for row in report["classes"]:
            row["name"] = class_names[row["id"]] if row["id"] < len(class_names) else ""
        if training:  # a trained model keeps its settings, so nothing is suggested for an evaluation
            report["suggestions"] = suggest(usable)
            if not for_small and are_small(usable, spatial_size and report["suggestions"]["spatial_size"]):
                report["worth_comparing"] = FOR_SMALL
            if spatial_size is None:
                del report["suggestions"]["spatial_size"]  # images keep their size, and the knob is the window's size
    report["num_near_duplicates"] = pairs.total
    report["near_duplicates"] = _listed(pairs, facts)
    if idist.get_rank() == 0:
        write_json(report_path, report)
    fatal = [problem for problem in problems if problem["fatal"]]
    if fatal:
        others = sum(problem["kind"] == "unusable" for problem in fatal) - 1
        more = f" ({counted(others, 'more file')} cannot be used; {report_path} lists all)" if others > 0 else ""
        raise InputError(fatal[0]["text"] + more)
    return report


def report_check(
    report: Report,
    leaks: Sequence[dict[str, Any]],
    report_path: str | os.PathLike[str],
    fold_problems: Sequence[Problem] = (),
) -> None:
    """Log the report, and add the leaks and the problems of the folds to its file.

    Args:
        report: report from :py:func:`check_data`.
        leaks: leaks from :py:func:`.splits.leaks.find_leaks`.
        report_path: path of the report's file.
        fold_problems: problems of the folds, from :py:func:`.fold_check.check_folds`.
    """
    if idist.get_rank() > 0:
        return
    report = {**report, "problems": [*report["problems"], *fold_problems]}
    write_json(report_path, {**report, "leaks": list(leaks)})
    _logger.info(f"check:    {counted(report['num_images'], 'image')} of {_extent(report['sizes'])} pixels")
    for row in report["classes"]:
        width = f", {row['width']:.1f} pixels wide" if row["width"] is not None else ""
        name = f" ({row['name']})" if row["name"] else ""
        _logger.info(
            f"check:    class {row['id']}{name} is in {counted(row['images'], 'mask')}, {row['share']:.1%} of all "
            f"pixels, {counted(row['objects'], 'object')}{width}"
            + (f", {row['vanishing']} below a pixel" if row["vanishing"] else "")
        )
    for problem in report["problems"]:
        of = f": {first_names(problem['files'])}" if problem["files"] else ""
        _logger.warning(f"check:    {problem['text']}{of}")
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


def _extent(sizes: Mapping[str, Mapping[str, float]]) -> str:
    """Return the sizes of the images in words: the common one, or the range."""
    smallest, largest = (f"{sizes['width'][end]:g} x {sizes['height'][end]:g}" for end in ("min", "max"))
    return smallest if smallest == largest else f"{smallest} to {largest}"


def _options(settings: Mapping[str, Any]) -> str:
    """Return settings in the form of the command line."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    return " ".join(f"--{name} {shlex.quote(text)}" for name, text in texts.items())


def _listed(pairs: NearDuplicates, facts: Sequence[Facts]) -> list[list[Any]]:
    """Return near-duplicates by their paths, in the form of the report."""
    return [[facts[i].image, facts[j].image, likeness] for i, j, likeness in pairs[:_LISTED]]
