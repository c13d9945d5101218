# SPDX-License-Identifier: Apache-2.0

"""How datasets lie on disk: one file a layout, and the registry that names them.

It imports ``image_io`` and ``common``. A new layout is one file here and one row in ``registry.py``.
"""
