# SPDX-License-Identifier: Apache-2.0

"""A dataset before training: its layout on disk, the survey of all files, near-duplicates, the check and the split.

This package imports ``image_io`` and ``common``. A new layout goes into ``layouts/``, a new way to divide the images
goes into ``splits/``. A new check of images and masks goes into ``problems.py``, one of folds into ``fold_check.py``.
"""
