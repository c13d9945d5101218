# SPDX-License-Identifier: Apache-2.0

"""Transforms of images, labels and predictions in memory: spatial, intensity, augmentation, soft labels, cleaning.

It imports ``common`` only. A new transform is a file here, named in a config; what reads or writes files belongs to
``image_io``.
"""
