# SPDX-License-Identifier: Apache-2.0

"""What is recorded of a run while it goes on: MLflow, the run's folder, progress lines, curves.

It imports ``checkpoints``, ``experiments`` and the floors below, not its neighbors ``training``, ``evaluation``,
``inference`` or ``export``. A new record of a run is a handler here, named in a config.
"""
