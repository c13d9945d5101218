# SPDX-License-Identifier: Apache-2.0

"""Divide images into parts: images to train on, images to choose the epoch on, and images to score.

This package imports the survey, the duplicates and the layouts of ``data``, and ``image_io`` and ``common``. To add a
way to divide images, add a function to ``division.py``. To add a protocol, add a row to ``protocols.py``.
"""
