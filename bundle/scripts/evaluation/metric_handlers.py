# SPDX-License-Identifier: Apache-2.0

"""The metrics of a training's validation and of an evaluation, built from the table of scores."""

from __future__ import annotations

from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric
from monai.utils import look_up_option

from ..common import score_table
from ..common.score_table import KEY, PAPER, VALIDATION
from . import metrics, surface_metrics
from .metrics import ConfusionScore, MetricFactory

__all__ = ["build_metrics"]

# by stage: what names begin with, the masks of each score, and those of a score that is computed as the paper does
_STAGES = {
    "validation": (VALIDATION, ("pred", "label"), ("pred", "label")),
    "evaluation": ("", ("pred", "original_label"), ("fitted_pred", "label")),
}


def build_metrics(
    stage: str, *, key: bool, paper: bool = False, spacing: float = 1.0, tolerance: float = 2.0
) -> dict[str, IgniteMetricHandler]:
    """The metrics that MONAI's evaluator computes, by name, in the order of the table of scores.

    Args:
        stage: "validation": those of the scores that a training's validation shows, at the size that the network sees;
            their names begin with ``val_``. "evaluation": all scores, at each image's original size.
        key: True for the key metric alone, by which the best epoch is chosen; False for all others.
        paper: whether to add the scores that are computed as the paper does, at the size that the network sees; their
            names begin with ``paper_``. The key metric is none of them.
        spacing: side of a pixel, in mm if distances shall be.
        tolerance: distance, in the unit of ``spacing``, within which two outlines count as the same.

    Raises:
        ValueError: if ``stage`` is neither of the two.
        KeyError: if a score of the table has no row of how it is computed.
    """
    prefix, masks, paper_masks = _STAGES[look_up_option(stage, tuple(_STAGES))]
    factories: dict[str, MetricFactory] = {**metrics.METRICS, **surface_metrics.METRICS}
    rows = [row for row in score_table.SCORES if stage == "evaluation" or "validation" in row.places]
    handlers = {
        f"{prefix}{row.name}": _handler(factories[row.name](spacing, tolerance), masks)
        for row in rows
        if (row.name == KEY) == key
    }
    if paper and not key:
        handlers |= {
            f"{PAPER}{row.name}": _handler(ConfusionScore(row.name, paper_protocol=True), paper_masks)
            for row in score_table.SCORES
            if row.paper is not None
        }
    return handlers


def _handler(metric: CumulativeIterationMetric, masks: tuple[str, str]) -> IgniteMetricHandler:
    return IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(masks))
