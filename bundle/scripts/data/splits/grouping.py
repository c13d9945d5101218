# SPDX-License-Identifier: Apache-2.0

"""Find the images that belong together, such as those of one patient or video, so that a split keeps them together."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import InputError
from ...common.files import load_text, user_path
from ...image_io.formats.registry import stem
from ..duplicates import Pair, clusters
from ..survey import Facts

__all__ = ["belong_together", "group_names", "strata"]

_CSV = re.compile(r"(?P<path>.+\.csv)::(?P<column>.+)", re.IGNORECASE)


def belong_together(groups: Sequence[str], pairs: Sequence[Pair]) -> NDArray[np.intp]:
    """Number the sets of images that belong together, by their groups or as near-duplicates.

    Args:
        groups: name of the group of every image.
        pairs: near-duplicates among the images.

    Returns:
        (N,) number of the set of every image.
    """
    first: dict[str, int] = {}
    same_group = [(first.setdefault(name, i), i) for i, name in enumerate(groups)]
    return clusters(len(groups), [*pairs, *same_group])


def group_names(datalist: Sequence[Mapping[str, Any]], rule: str) -> list[str]:
    """Name the group of every image.

    Args:
        datalist: items whose ``"image"`` is a path.
        rule: a regular expression, or ``TABLE.csv::COLUMN``. The regular expression is searched in the file name of an
            image. The name of the group is the text that its first parentheses match; without parentheses, it is the
            whole match. With ``TABLE.csv::COLUMN``, the names of the groups are in this column of the table. Its column
            ``image`` holds the file names of the images, with or without suffix.

    Returns:
        The names of the groups, in the order of ``datalist``.

    Raises:
        InputError: if the rule is not a regular expression, if the table or a column is missing, or if an image has no
            group.

    Example::

        >>> group_names([{"image": "p1_a.png"}, {"image": "p1_b.png"}, {"image": "p2_a.png"}], "p[0-9]+")
        ['p1', 'p1', 'p2']
    """
    if not isinstance(rule, str):
        raise InputError(f"group is {rule!r}; give a regular expression, or TABLE.csv::COLUMN")
    files = [Path(item["image"]) for item in datalist]
    table = _CSV.fullmatch(rule)
    return _by_table(files, **table.groupdict()) if table else _by_expression(files, rule)


def strata(datalist: Sequence[Mapping[str, Any]], facts: Sequence[Facts]) -> list[str]:
    """Name the kind (stratum) of every image, so that every fold can get an equal share of every kind.

    Args:
        datalist: items of all images.
        facts: facts of all images.

    Returns:
        The kinds, in the order of ``datalist``. An image's kind is its ``"stratum"`` if the layout has it. Else it is
        the set of classes in the mask, if the masks differ in that. Else it is "small" or "large": whether the share of
        foreground in the mask is below the median of all images.
    """
    if all("stratum" in item for item in datalist):
        return [item["stratum"] for item in datalist]
    classes = [" ".join(str(label) for label, count in enumerate(image.pixels) if count) for image in facts]
    if len(set(classes)) > 1:
        return classes
    shares = [1 - image.pixels[0] / sum(image.pixels) if image.problem is None else 0.0 for image in facts]
    middle = median(shares)
    return ["small" if share < middle else "large" for share in shares]


def _by_expression(files: Sequence[Path], rule: str) -> list[str]:
    try:
        expression = re.compile(rule)
    except re.error as error:
        raise InputError(f"group is {rule!r}, which is no regular expression ({error}); mend it") from error
    names = []
    for file in files:
        match = expression.search(file.name)
        name = match and match[1 if expression.groups else 0]
        if not name:
            raise InputError(f"group is {rule!r}, which matches nothing in {file.name}; let it match every file name")
        names.append(name)
    return names


def _by_table(files: Sequence[Path], path: str, column: str) -> list[str]:
    try:
        reader = csv.DictReader(io.StringIO(load_text(user_path(path)), newline=""))
        rows, columns = list(reader), reader.fieldnames or []
    except (OSError, csv.Error) as error:
        raise InputError(f"group names the table {path}, which cannot be read ({error}); give a CSV file") from error
    for needed in ("image", column):
        if needed not in columns:
            raise InputError(f"{path} has no column {needed}; its columns are {', '.join(columns)}")
    by_name = {row["image"]: row[column] for row in rows}
    names = []
    for path_of_image in files:
        name = by_name.get(path_of_image.name) or by_name.get(stem(path_of_image))
        if not name:
            raise InputError(f"{path} has no {column} for {path_of_image.name}; add a line for every image")
        names.append(name)
    return names
