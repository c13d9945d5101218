# SPDX-License-Identifier: Apache-2.0

"""Transforms of images, labels and predictions in memory: spatial, intensity, augmentation, soft labels, cleaning.

It imports ``common`` only. A new transform is a file here, and a config names it. Code that reads or writes files
belongs in ``image_io``.
"""
