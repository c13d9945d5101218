# SPDX-License-Identifier: Apache-2.0

"""Build the metrics of an evaluation, and of the validation in a training, from the table of scores."""

from __future__ import annotations

from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric
from monai.utils import look_up_option

from ..common import score_table
from ..common.score_table import KEY, PAPER, VALIDATION
from . import metrics, surface_metrics
from .metrics import ConfusionScore, MetricFactory

__all__ = ["build_metrics"]

# by stage: the prefix of the names, the masks of a score, and the masks of a score that is computed as in the paper
_STAGES = {
    "validation": (VALIDATION, ("pred", "label"), ("pred", "label")),
    "evaluation": ("", ("pred", "original_label"), ("fitted_pred", "label")),
}


def build_metrics(
    stage: str, *, key: bool, paper: bool = False, spacing: float = 1.0, tolerance: float = 2.0
) -> dict[str, IgniteMetricHandler]:
    """Build the metrics that MONAI's evaluator computes.

    Args:
        stage: "validation" for the scores that the validation of a training shows, at the size that the network sees;
            their names begin with ``val_``. "evaluation" for all scores, at the original size of every image.
        key: True for the key metric alone, which chooses the best epoch; False for all other metrics.
        paper: whether to add the scores that are computed as in the paper, at the size that the network sees. Their
            names begin with ``paper_``. The key metric is none of them.
        spacing: side of a pixel; in mm if distances are to be in mm.
        tolerance: distance within which two outlines count as the same, in the unit of ``spacing``.

    Returns:
        The metrics by name, in the order of the table of scores.

    Raises:
        ValueError: if ``stage`` is neither of the two, or if a score of the table has neither a formula there nor an
            entry in a ``METRICS`` dictionary.
    """
    prefix, masks, paper_masks = _STAGES[look_up_option(stage, tuple(_STAGES))]
    rows = [row for row in score_table.SCORES if stage == "evaluation" or "validation" in row.places]
    handlers = {
        f"{prefix}{row.name}": _handler(_metric(row.name, spacing, tolerance), masks)
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


def _metric(name: str, spacing: float, tolerance: float) -> CumulativeIterationMetric:
    factories: dict[str, MetricFactory] = {**metrics.METRICS, **surface_metrics.METRICS}
    return factories[name](spacing, tolerance) if name in factories else ConfusionScore(name)


def _handler(metric: CumulativeIterationMetric, masks: tuple[str, str]) -> IgniteMetricHandler:
    return IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(masks))
