# SPDX-License-Identifier: Apache-2.0

"""The QTSeg bundle's own Python package: what MONAI, ignite and PyTorch lack.

It has a room for each stage of the work. A room imports from its own modules and from lower floors, never upward::

    contest
    report, cross_validation, benchmark, comparison, cleaning_search
    training, tracking, evaluation, inference, export
    checkpoints, experiments
    data
    networks, transforms, image_io
    common

Importing a module does nothing else. ``tests/test_floors.py`` holds the table of floors.
"""
