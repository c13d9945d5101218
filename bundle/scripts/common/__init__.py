# SPDX-License-Identifier: Apache-2.0

"""What every room uses: errors, files, locks, paths, limits, knobs, the table of scores, the config that is being run.

It imports no other room. A check of a knob goes into ``knobs.py``, a limit into ``limits.py``, and a row for a score
into ``score_table.py``. Code that only one room uses does not belong here.
"""
