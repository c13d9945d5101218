# SPDX-License-Identifier: Apache-2.0

"""Compare networks and recipes, trained and scored on the same images: ``python -m scripts.contest``.

The room is on the top floor, so it can import any other room. A new column of the table goes into ``table.py``; a new
network to compare is an overlay in ``configs/networks/``.
"""
