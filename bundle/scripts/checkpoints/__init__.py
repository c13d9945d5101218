# SPDX-License-Identifier: Apache-2.0

"""The files of a model: weights, ``model.json`` with the settings, and the checkpoints of a run.

It imports ``data``, ``networks``, ``transforms``, ``image_io`` and ``common``. A new field of ``model.json`` is one
row in ``model_schema.py``; an option of the architecture is a row in ``networks/qtseg.py``.
"""
