# SPDX-License-Identifier: Apache-2.0

"""Image and mask files of all formats: headers, pages, pixels, mask rules, pictures and outlines.

This package imports ``common`` only. To add a format, add a row to :py:data:`.formats.FORMATS`. A format that Pillow
does not read, or of which it does not keep every bit, also has a module here.
"""
