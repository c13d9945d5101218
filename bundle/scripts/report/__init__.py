# SPDX-License-Identifier: Apache-2.0

"""Write the report page of an evaluation; ``python -m scripts.report EVALUATION_DIR`` writes it again.

The room imports ``evaluation`` and the floors below. A new section is a function in ``sections.py`` and a block in one
of the templates that ``page.html`` includes.
"""
