# SPDX-License-Identifier: Apache-2.0

"""Counts of the values of a mask, and why they are not those of background and object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import InputError
from ..common.limits import MAX_CLASSES
from .plateaus import plateau_values

__all__ = ["check_numbers", "histogram", "listed", "more_classes", "why_not_two_classes"]

# Soft edges and compression leave a smaller share of pixels than this between 1/4 and 3/4 of full scale.
MAX_BETWEEN = 0.05
# A mask with more different values than this between the smallest and the largest does not hold ids.
FEW_VALUES = 16
_INSTANCES = "set --instance_labels true if every value above 0 is an object"
_SAVE = "save background as 0 and every object as 255"


def check_numbers(values: NDArray[Any], path: str) -> None:
    """Refuse values that are no ids: numbers below 0, and fractions.

    Args:
        values: the stored values, in any shape.
        path: path of the file, for the message.
    """
    if values.min() < 0:
        raise InputError(f"{path} has values from {values.min()} to {values.max()}; save label ids, or 0 and 255")
    if values.dtype.kind == "f" and (fractions := values[values % 1 != 0]).size:
        raise InputError(f"{path} has values such as {fractions[0]}; save whole numbers: label ids, or 0 and 255")


def histogram(values: NDArray[Any], path: str) -> NDArray[np.intp]:
    """Return the number of pixels of every value from 0 to the largest one.

    Args:
        values: the stored values, in any shape.
        path: path of the file, for the message.

    Raises:
        InputError: if a value is below 0, above 65535, or no whole number.
    """
    check_numbers(values, path)
    if values.max() > 65535:
        raise InputError(f"{path} has values from {values.min()} to {values.max()}; save label ids, or 0 and 255")
    return np.bincount(values.astype(np.intp).ravel())


def why_not_two_classes(values: NDArray[Any], counts: NDArray[np.intp], full_scale: int, lossy: bool) -> str | None:
    """Return why a mask does not show background and object, and the cure, as words that follow the file's name.

    Args:
        values: (H, W) values, of which the largest is at least 2.
        counts: number of pixels of every value, from :py:func:`histogram`.
        full_scale: value of an object, 255 or 65535.
        lossy: whether compression has changed the values.

    Returns:
        The words, or None for a mask of two classes.
    """
    largest = len(counts) - 1
    found = f"(values found: {listed(counts)})"
    if 2 * largest < full_scale:
        other = _SAVE if lossy else f"{more_classes(largest)}{_SAVE}, or {_INSTANCES}"
        return f"has label {largest}, which is out of range for 2 classes {found}; {other}"
    if not lossy:
        if _are_ids(counts, full_scale):
            return f"holds ids rather than background and object {found}; {_SAVE}, or {_INSTANCES}"
        darkest = int(np.flatnonzero(counts)[0])
        if full_scale // 8 <= darkest <= full_scale // 2:
            return f"has no background, as its darkest value is {darkest} {found}; {_SAVE}, or {_INSTANCES}"
        filling = plateau_values(values.astype(np.uint16))
        if filling:
            present = np.count_nonzero(counts)
            classes = f", or save its classes as 0 to {present - 1} and set --out_channels {present}"
            return (
                f"holds ids of classes or objects rather than background and object, as more than one value fills "
                f"areas {found}; {_SAVE}, or {_INSTANCES}{classes if present <= FEW_VALUES else ''}"
            )
    between = counts[full_scale // 4 + 1 : (3 * full_scale + 3) // 4].sum() / values.size
    if between > MAX_BETWEEN:
        return (
            f"is no mask of two classes, as {between:.0%} of its pixels are neither dark nor bright {found}; save "
            "background as 0 and object as 255, or set --out_channels for more classes"
        )
    return None


def _are_ids(counts: NDArray[np.intp], full_scale: int) -> bool:
    """Return whether values are consecutive ids, which may be a single pixel each."""
    present = np.flatnonzero(counts)
    if len(counts) - 1 < full_scale:
        return len(present) == len(counts) and len(present) > 2
    below = present[:-1]  # these may be ids, with full scale for pixels to ignore
    few = 2 <= len(below) <= FEW_VALUES and below[0] <= 1 and below[-1] - below[0] == len(below) - 1
    return bool(few or present.tolist() == [1, full_scale])


def more_classes(largest: int) -> str:
    """Return the advice to set more classes, for a message."""
    # A largest value of 255 more likely means background and object, or a label to ignore, than 256 classes.
    return f"set --out_channels {largest + 1}, or " if largest < MAX_CLASSES - 1 else ""


def listed(counts: NDArray[np.intp], start: int = 0, most: int = 5) -> str:
    """Return the first few of the values from ``start`` on that occur, for a message."""
    present = np.flatnonzero(counts[start:]) + start
    return ", ".join(map(str, present[:most])) + (f" and {len(present) - most} more" if len(present) > most else "")
