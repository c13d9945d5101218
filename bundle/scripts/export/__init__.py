# SPDX-License-Identifier: Apache-2.0

"""A trained model for other programs, TorchScript, ONNX, zip: ``python -m scripts.export``.

It imports ``checkpoints``, ``experiments`` and the floors below, not its neighbors ``training``, ``tracking``,
``evaluation`` or ``inference``. A new format is a function and a row in ``formats.py``.
"""
