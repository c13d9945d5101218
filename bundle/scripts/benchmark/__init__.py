# SPDX-License-Identifier: Apache-2.0

"""Measure how fast QTSeg is, compared to its reference formulation and MONAI's networks.

The command is ``python -m scripts.benchmark``. The room imports ``training``, ``tracking``, ``evaluation``,
``inference`` and the floors below. A new network to measure is a function in ``contenders.py``, and a new quantity is a
function in ``measure.py``.
"""
