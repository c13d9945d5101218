# SPDX-License-Identifier: Apache-2.0

"""Scores of predictions: metrics, intervals, calibration, and which images are scored.

It imports ``checkpoints``, ``experiments`` and the floors below, not its neighbors ``training``, ``tracking``,
``inference`` or ``export``. A new score of pixels is a row in the table of scores, ``common/score_table.py``, with its
formula. Any other score also has a metric in ``surface_metrics.py``, with its row in ``METRICS`` there.
"""
