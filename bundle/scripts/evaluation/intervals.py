# SPDX-License-Identifier: Apache-2.0

"""How sure a mean is: 95 % intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np

__all__ = ["interval_text", "mean_interval", "mean_with_interval"]

_DRAWS = 2000
_LEVEL = 0.95


def mean_with_interval(values: Sequence[float], groups: Sequence[Any]) -> dict[str, Any]:
    """The mean over images, and its interval.

    Args:
        values: a score of each image.
        groups: of each image.

    Returns:
        ``mean``, and ``low`` and ``high`` as of :py:func:`mean_interval`; None where there is no interval.
    """
    low, high = mean_interval(values, groups) or (None, None)
    return {"mean": mean(values), "low": low, "high": high}


def interval_text(found: Mapping[str, Any], form: str) -> str:
    """An interval for readers.

    Args:
        found: with ``low`` and ``high``, as of :py:func:`mean_with_interval`.
        form: of both numbers, such as ".4f".
    """
    if found["low"] is None:
        return "one group: no interval"
    return f"{found['low']:{form}} to {found['high']:{form}}"


def mean_interval(values: Sequence[float], groups: Sequence[Any]) -> tuple[float, float] | None:
    """The percentile interval of a mean over images, when whole groups are drawn with replacement.

    Images of one patient or video are alike; drawn one by one they would make an interval too narrow (Field and Welsh
    2007, the cluster bootstrap).

    Args:
        values: a score of each image.
        groups: of each image.

    Returns:
        Lower and upper end of the 95 % interval; None with fewer than two groups, which tell nothing of others.

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
        drawn = random.integers(len(sums), size=len(sums))
        means.append(sums[drawn].sum() / counts[drawn].sum())
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
