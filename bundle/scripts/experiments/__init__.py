# SPDX-License-Identifier: Apache-2.0

"""Run several trainings in one folder, in processes of their own, on several devices.

The room imports ``data``, ``networks``, ``transforms``, ``image_io`` and ``common``. Code that starts, watches or
resumes several trainings goes here; code that compares them belongs to ``cross_validation`` or ``contest``.
"""
