# SPDX-License-Identifier: Apache-2.0

"""How images are divided into parts to train on, to choose the epoch on and to score.

It imports the survey and the duplicates of ``data``, ``image_io`` and ``common``. A new way to divide is a function
in ``division.py``; a new protocol is a row in ``protocols.py``.
"""
