# SPDX-License-Identifier: Apache-2.0

"""The microscopy images that the bundle draws itself, for a first run without data.

The room imports ``common`` only. A new kind of image is a function in ``drawing.py``.
"""
