# SPDX-License-Identifier: Apache-2.0

"""All folds of a dataset, trained and scored: ``python -m scripts.cross_validation``.

It imports ``experiments``, ``training``, ``tracking``, ``evaluation`` and the floors below. What sums up folds goes
into ``fold_table.py``.
"""
