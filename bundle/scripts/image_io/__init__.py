# SPDX-License-Identifier: Apache-2.0

"""Image and mask files of all formats: headers, pages, pixels, mask rules, pictures and outlines.

This package imports ``common`` only. To add a format, add one module here that reads it and one row to
:py:data:`.formats.FORMATS`.
"""
