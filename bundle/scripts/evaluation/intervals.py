# SPDX-License-Identifier: Apache-2.0

"""Compute 95 % confidence intervals of means by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np

__all__ = ["interval_text", "mean_interval", "mean_with_interval"]

_DRAWS = 2000
_LEVEL = 0.95


def mean_with_interval(values: Sequence[float], groups: Sequence[Any]) -> dict[str, Any]:
    """Compute the mean over images and its 95 % interval.

    Args:
        values: the score of each image.
        groups: the group of each image, such as a patient.

    Returns:
        ``mean``, and the ends ``low`` and ``high`` of :py:func:`mean_interval`, which are None if there is no interval.
    """
    low, high = mean_interval(values, groups) or (None, None)
    return {"mean": mean(values), "low": low, "high": high}


def interval_text(interval: Mapping[str, Any], form: str) -> str:
    """Write an interval as text.

    Args:
        interval: the result of :py:func:`mean_with_interval`.
        form: format of both numbers, such as ".4f".

    Returns:
        Text such as "0.8123 to 0.8456".
    """
    if interval["low"] is None:
        return "one group: no interval"
    return f"{interval['low']:{form}} to {interval['high']:{form}}"


def mean_interval(values: Sequence[float], groups: Sequence[Any]) -> tuple[float, float] | None:
    """Compute the percentile interval of a mean over images by the cluster bootstrap (Field and Welsh 2007).

    Whole groups are drawn with replacement. Images of one patient or video are similar, so drawing single images would
    give an interval that is too narrow.

    Args:
        values: the score of each image.
        groups: the group of each image, such as a patient.

    Returns:
        Lower and upper end of the 95 % interval. None with fewer than two groups, because a single group says nothing
        about other groups.

    Example::

        >>> low, high = mean_interval([0.8, 0.9, 0.7, 0.9], ["a", "b", "c", "d"])
        >>> 0.7 <= low < 0.825 < high <= 0.9
        True
    """
    numbers = np.unique(np.asarray(list(groups)), return_inverse=True)[1]
    sums, counts = (np.bincount(numbers, weights=weights) for weights in (np.asarray(values), None))
    if len(sums) < 2:
        return None
    random = np.random.default_rng(0)
    means = []
    for _ in range(_DRAWS):
        sample = random.integers(len(sums), size=len(sums))
        means.append(sums[sample].sum() / counts[sample].sum())
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
