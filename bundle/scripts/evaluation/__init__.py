# SPDX-License-Identifier: Apache-2.0

"""Scores of predictions: metrics, intervals, calibration, and which images are scored.

It imports ``checkpoints``, ``experiments`` and the floors below, not its neighbors ``training``, ``tracking``,
``inference`` or ``export``. A new score is a metric in ``metrics.py`` or ``surface_metrics.py``, with its row in
``METRICS`` there, and a row in the table of scores, ``common/score_table.py``.
"""
