# SPDX-License-Identifier: Apache-2.0

"""Format numbers for the page."""

from __future__ import annotations

import math

__all__ = ["DASH", "number"]

DASH = "–"


def number(value: float | None, unit: str = "share") -> str:
    """Format a number: 4 decimals for a share, 2 for a distance, none for a count; a dash for None or NaN.

    Args:
        value: the number.
        unit: unit of the number, "share", "distance" or "count", as in :py:class:`..common.score_table.Score`.
    """
    if value is None or math.isnan(value):
        return DASH
    return {"share": f"{value:.4f}", "distance": f"{value:.2f}", "count": f"{value:,.0f}"}[unit]
