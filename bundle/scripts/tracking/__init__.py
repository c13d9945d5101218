# SPDX-License-Identifier: Apache-2.0

"""The records of a run while it runs: MLflow, the run's folder, progress lines, curves.

The room imports ``checkpoints``, ``experiments`` and the floors below, but not its neighbors ``training``,
``evaluation``, ``inference`` or ``export``. A new record of a run is a handler here, and a config names it.
"""
