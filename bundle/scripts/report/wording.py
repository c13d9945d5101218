# SPDX-License-Identifier: Apache-2.0

"""How numbers are written."""

from __future__ import annotations

import math

__all__ = ["DASH", "number"]

DASH = "–"


def number(value: float | None, unit: str = "share") -> str:
    """A number as text: 4 digits for shares, 2 for distances, none for counts; a dash for none or NaN.

    Args:
        value: the number.
        unit: as of :py:class:`..common.score_table.Score`.
    """
    if value is None or math.isnan(value):
        return DASH
    return {"share": f"{value:.4f}", "distance": f"{value:.2f}", "count": f"{value:,.0f}"}[unit]
