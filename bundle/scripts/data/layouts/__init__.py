# SPDX-License-Identifier: Apache-2.0

"""The layouts of datasets on disk: one module for every layout or group of layouts, and the registry of their names.

This package imports ``image_io`` and ``common``. To add a layout, add one module here and one row to ``registry.py``.
"""
