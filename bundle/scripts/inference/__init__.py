# SPDX-License-Identifier: Apache-2.0

"""From images to masks: input files, windows, test-time augmentation, ensembles, and the folder of results.

It imports ``checkpoints``, ``experiments`` and the floors below, not its neighbors ``training``, ``tracking``,
``evaluation`` or ``export``. A new output of an image goes into ``save_masks.py``; a new way to predict is an
inferer, named in ``configs/inference.json``.
"""
