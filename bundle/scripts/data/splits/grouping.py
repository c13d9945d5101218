# SPDX-License-Identifier: Apache-2.0

"""Which images belong together, such as those of one patient or video, so that a split never parts them."""

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
from ...common.files import given_path, given_text
from ...image_io.formats import stem
from ..duplicates import Pair, clusters
from ..survey import Facts

__all__ = ["belong_together", "group_names", "strata"]

_CSV = re.compile(r"(?P<path>.+\.csv)::(?P<column>.+)", re.IGNORECASE)


def belong_together(groups: Sequence[str], pairs: Sequence[Pair]) -> NDArray[np.intp]:
    """Number the sets of images that belong together, by their group or as near-duplicates.

    Args:
        groups: name of each image's group.
        pairs: near-duplicates.

    Returns:
        (images,) the number of each image's set.
    """
    first: dict[str, int] = {}
    same_group = [(first.setdefault(name, i), i) for i, name in enumerate(groups)]
    return clusters(len(groups), [*pairs, *same_group])


def group_names(datalist: Sequence[Mapping[str, Any]], rule: str) -> list[str]:
    """Name the group of each image.

    Args:
        datalist: items whose ``"image"`` is a path.
        rule: a regular expression, searched in the image's file name: what its
            first parentheses match (or all of it, without parentheses) names the group. ``TABLE.csv::COLUMN``: that
            column of a table whose column ``image`` holds the file names, with or without suffix.

    Returns:
        The groups' names, in the order given.

    Raises:
        InputError: if the rule is no regular expression, the table or a column is missing, or an image has no group.

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
    """Tell kinds of images apart, for folds that shall have an equal share of each.

    Args:
        datalist: all images.
        facts: of them.

    Returns:
        The ``"stratum"`` of each image where the layout knows it. Else the classes in its mask, where images differ in
        them; else whether its objects are smaller than those of most images.
    """
    if all("stratum" in item for item in datalist):
        return [item["stratum"] for item in datalist]
    classes = [" ".join(str(label) for label, count in enumerate(each.pixels) if count) for each in facts]
    if len(set(classes)) > 1:
        return classes
    shares = [1 - each.pixels[0] / sum(each.pixels) if each.problem is None else 0.0 for each in facts]
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
        reader = csv.DictReader(io.StringIO(given_text(given_path(path)), newline=""))
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
