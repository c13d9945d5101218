# SPDX-License-Identifier: Apache-2.0

"""A dataset before training: its layout on disk, the survey of all files, near-duplicates, the check and the split.

It imports ``image_io`` and ``common``. A new layout goes into ``layouts/``, a way to divide images into ``splits/``,
a finding about a dataset into ``data_check.py``.
"""
