# SPDX-License-Identifier: Apache-2.0

"""Export a trained model for other programs, as TorchScript, ONNX or zip: ``python -m scripts.export``.

The room imports ``checkpoints``, ``experiments`` and the floors below, but not its neighbors ``training``,
``tracking``, ``evaluation`` or ``inference``. A new format is a function and a row in ``formats.py``.
"""
