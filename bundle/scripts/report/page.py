# SPDX-License-Identifier: Apache-2.0

"""Write the page of an evaluation."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2

from ..common.files import read_json, write_text
from . import sections
from .cases import ERRORS, choose, color_of, draw, read_cases, short_names
from .provenance import read_provenance, record
from .wording import DASH, number

__all__ = ["write_report"]


def write_report(
    evaluation_dir: str | os.PathLike, *, curves: str | os.PathLike | None = None, command: str | None = None
) -> Path:
    """Write ``report.html``: all that an evaluation has left in its folder, as one page that needs nothing else.

    ``scores.csv`` and ``summary.json`` must be there. What is optional, and not there, is said on the page:
    ``data_check.json``, ``calibration.json``, and the masks of :py:class:`.handler.SaveReport`.

    Args:
        evaluation_dir: folder of the evaluation.
        curves: the training's ``curves.csv``; None for the file of the last call with a ``command``.
        command: what was run to evaluate. It is kept in ``provenance.json``, with versions, date and ``curves``, where
            later calls find it.

    Returns:
        Path of the page.

    Raises:
        InputError: if a file cannot be read.
    """
    folder = Path(evaluation_dir)
    cases = read_cases(folder / "scores.csv")
    summary = read_json(folder / "summary.json")
    if command is not None:
        record(folder, command, curves)
    provenance = read_provenance(folder)
    names = short_names(cases)
    root = Path(provenance["folder"] if provenance else "")
    text = _template().render(
        headline=sections.headline(summary),
        summary=summary,
        dataset=Path(str(summary.get("images", ""))).name,
        tables=sections.score_tables(summary),
        facts=sections.facts(summary),
        training=sections.training(_curves(curves, provenance), summary.get("run")),
        histogram=sections.histogram(cases),
        shown={kind: [draw(case, folder, root) for case in chosen] for kind, chosen in choose(cases).items()},
        names=names,
        table=sections.case_table(cases, names),
        calibration=sections.calibration(folder / "calibration.json"),
        check=sections.data_check(folder / "data_check.json", names),
        provenance=provenance,
    )
    path = folder / "report.html"
    write_text(path, text)
    return path


def _curves(named: str | os.PathLike | None, provenance: dict[str, str] | None) -> Path | None:
    if named is None and provenance is not None:
        named = provenance.get("curves")
    return None if named is None else Path(named)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("scripts.report", ""),
        autoescape=True,  # file names may hold anything
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.globals.update(color_of=color_of, dash=DASH, errors=ERRORS)
    return environment.get_template("page.html")
