# SPDX-License-Identifier: Apache-2.0

"""The page of an evaluation: ``python -m scripts.report EVALUATION_DIR`` writes it anew.

It imports ``evaluation`` and the floors below. A new section is a function in ``sections.py`` and a block in
``page.html``.
"""
