# SPDX-License-Identifier: Apache-2.0

"""Networks and recipes against each other on the same images: ``python -m scripts.contest``.

It is on the top floor and imports any room. A quantity of a contest's table goes into ``table.py``; a network to
compare is an overlay in ``configs/networks/``.
"""
