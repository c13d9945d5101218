# SPDX-License-Identifier: Apache-2.0

"""Measure how well predicted probabilities agree with the frequency of true pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from numpy.typing import NDArray

from ..common.files import write_json

__all__ = ["Calibration"]

_BINS = 15


class Calibration:
    """Compare predicted probabilities with the frequency of true pixels, and write ``calibration.json``.

    Every pair of a pixel and a foreground class counts, at the images' original size: the predicted probability of the
    class, and whether the label has this class. All pairs have the same weight, so large images count more than small
    ones. Probabilities of the background do not count: with two classes they would only repeat the foreground's.

    The file holds 15 ``bins`` of probability of equal width. Each bin has its ends ``low`` and ``high``, the ``count``
    of pairs, their ``mean_probability``, and the ``frequency`` of true pairs; the last two are null in an empty bin.
    ``num_not_finite`` counts pairs whose probability is not finite; these are in no bin.
    ``expected_calibration_error`` is the mean difference between mean probability and frequency, over all pairs. Most
    pairs are background far from any object with a correct probability near 0, which makes this error small.
    Therefore ``expected_calibration_error_above_first_bin`` omits the first bin; it is null if all pairs are in that.

    Args:
        output_dir: folder for the file, created if missing.
    """

    def __init__(self, output_dir: str | os.PathLike) -> None:
        self.output_dir = Path(output_dir)
        self.sums = np.zeros((3, _BINS))  # by bin: number of pairs, sum of probabilities, number of true pairs

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator.

        Args:
            engine: the evaluator. Its outputs must have ``"probability"``, the softmax (K, H, W), and
                ``"original_label"``, one-hot (K, H, W).
        """
        engine.add_event_handler(Events.STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self)

    def _clear(self) -> None:
        self.sums = np.zeros((3, _BINS))
        self.not_finite = 0

    def _collect(self, engine: Engine) -> None:
        outputs: Any = engine.state.output  # MONAI's evaluator leaves one dictionary for each image
        for item in outputs:
            probability, true = (
                item[key][1:].float().cpu().numpy().ravel() for key in ("probability", "original_label")
            )
            finite = np.isfinite(probability)  # half precision can overflow
            self.not_finite += int((~finite).sum())
            probability, true = probability[finite], true[finite]
            bins = (probability * _BINS).astype(np.int64).clip(0, _BINS - 1)
            for sums, weights in zip(self.sums, (None, probability, true)):
                sums += np.bincount(bins, weights=weights, minlength=_BINS)

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the evaluator after all images.
        """
        total: Any = idist.all_reduce(torch.from_numpy(self.sums))
        not_finite: Any = idist.all_reduce(self.not_finite)
        if idist.get_rank() > 0:
            return
        counts, probabilities, true = total.numpy()
        divisors = np.maximum(counts, 1)
        gaps = np.abs(true / divisors - probabilities / divisors)
        bins = [
            {
                "low": i / _BINS,
                "high": (i + 1) / _BINS,
                "count": int(counts[i]),
                "mean_probability": probabilities[i] / counts[i] if counts[i] else None,
                "frequency": true[i] / counts[i] if counts[i] else None,
            }
            for i in range(_BINS)
        ]
        report = {
            "bins": bins,
            "num_not_finite": int(not_finite),
            "expected_calibration_error": _weighted_mean(gaps, counts),
            "expected_calibration_error_above_first_bin": _weighted_mean(gaps[1:], counts[1:]),
        }
        write_json(self.output_dir / "calibration.json", report)


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    return float((values * weights).sum() / weights.sum()) if weights.any() else None
