# SPDX-License-Identifier: Apache-2.0

"""Train and score all folds of a dataset: ``python -m scripts.cross_validation``.

The room imports ``experiments``, ``training``, ``tracking``, ``evaluation`` and the floors below. A new summary of the
folds goes into ``fold_table.py``.
"""
