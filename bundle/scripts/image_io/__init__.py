# SPDX-License-Identifier: Apache-2.0

"""Image and mask files of all formats: headers, pages, pixels, mask rules, pictures and outlines.

It imports ``common`` only. A new format is one reader here and one row in the registry of formats.
"""
