# SPDX-License-Identifier: Apache-2.0

"""The formats of image files and mask files: their registry, parsers of headers, and decoders of pixels.

This package imports ``common`` only. To add a format, add a row to :py:data:`.registry.FORMATS`. A format that Pillow
does not read, or of which it does not keep every bit, also has a module here.
"""
