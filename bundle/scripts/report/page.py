# SPDX-License-Identifier: Apache-2.0

"""Write the report page of an evaluation."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2

from ..common.errors import InputError
from ..common.files import write_text
from ..evaluation.records import read_summary
from . import sections
from .cases import ERRORS, choose, color_of, draw, read_cases, short_names
from .provenance import read_provenance, record
from .wording import DASH, number

__all__ = ["write_report"]


def write_report(
    evaluation_dir: str | os.PathLike, *, curves: str | os.PathLike | None = None, command: str | None = None
) -> Path:
    """Write ``report.html``, one page that shows the results of an evaluation and needs no other file.

    The folder of the evaluation must have ``scores.csv`` and ``summary.json``. ``data_check.json``,
    ``calibration.json`` and the masks of :py:class:`.handler.SaveReport` are optional; the page says if they are
    missing.

    Args:
        evaluation_dir: folder of the evaluation.
        curves: path of the ``curves.csv`` of the training; None for the file of the last call with a ``command``.
        command: the command that ran the evaluation. It is saved in ``provenance.json`` with versions, date and
            ``curves``, where later calls read them. None to keep the present ``provenance.json``.

    Returns:
        Path of the page.

    Raises:
        InputError: if a file cannot be read.
    """
    folder = Path(evaluation_dir)
    cases = read_cases(folder / "scores.csv")
    summary = read_summary(folder, "num_images", "num_groups", "classes", "protocols")
    if len(cases) != summary["num_images"]:
        raise InputError(
            f"{folder / 'scores.csv'} has {len(cases)} image(s), and summary.json {summary['num_images']}; they are of "
            "two evaluations, or cut off: evaluate again"
        )
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
        shown={kind: [draw(case, folder, root) for case in selected] for kind, selected in choose(cases).items()},
        names=names,
        table=sections.case_table(cases, names),
        calibration=sections.calibration(folder / "calibration.json"),
        check=sections.data_check(folder / "data_check.json", names),
        provenance=provenance,
    )
    path = folder / "report.html"
    write_text(path, text)
    return path


def _curves(path: str | os.PathLike | None, provenance: dict[str, str] | None) -> Path | None:
    if path is None and provenance is not None:
        path = provenance.get("curves")
    return None if path is None else Path(path)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("scripts.report", ""),
        autoescape=True,  # file names may contain any characters, such as HTML tags
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.globals.update(color_of=color_of, dash=DASH, errors=ERRORS)
    return environment.get_template("page.html")
