# SPDX-License-Identifier: Apache-2.0

"""Many trainings in one folder, each in processes of its own, spread over devices.

It imports ``data``, ``networks``, ``transforms``, ``image_io`` and ``common``. What starts, watches or resumes
several trainings goes here; what compares them belongs to ``cross_validation`` or ``contest``.
"""
