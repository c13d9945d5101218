# SPDX-License-Identifier: Apache-2.0

"""Image and mask files: their formats, pages, rules of masks, pictures and outlines.

This package imports ``common`` only. A new format belongs to the package ``formats`` in here.
"""
