# SPDX-License-Identifier: Apache-2.0

"""What a training does beyond MONAI's trainer: losses, handlers, best model, memory, determinism, resume.

It imports ``checkpoints``, ``experiments`` and the floors below, not ``tracking``, ``evaluation``, ``inference`` or
``export``. A new handler or loss is a class here, named in ``configs/train.json``.
"""
