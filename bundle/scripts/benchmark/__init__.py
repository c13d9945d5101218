# SPDX-License-Identifier: Apache-2.0

"""How fast QTSeg is, beside its reference formulation and MONAI's networks: ``python -m scripts.benchmark``.

It imports ``training``, ``tracking``, ``evaluation``, ``inference`` and the floors below. A network to measure is a
function in ``contenders.py``, a quantity a function in ``measure.py``.
"""
