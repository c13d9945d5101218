# SPDX-License-Identifier: Apache-2.0

"""The paths of the parts of the bundle. No other module derives a folder from its own path."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BUNDLE", "CONFIGS", "METADATA", "SYNTHETIC", "TESTS"]

#: The folder ``bundle/``, which holds configs, docs, label, models and scripts.
BUNDLE = Path(__file__).parents[2]

#: The folder of all configs.
CONFIGS = BUNDLE / "configs"

#: The file with the bundle's version, its packages and its data format.
METADATA = CONFIGS / "metadata.json"

#: The folder where synthetic images are written.
SYNTHETIC = BUNDLE / "data" / "synthetic"

#: The folder of the tests. A clone of the repository has it, an installed bundle has not.
TESTS = BUNDLE.parent / "tests"
