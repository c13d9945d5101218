# SPDX-License-Identifier: Apache-2.0

"""Where the parts of the bundle lie: the only module that derives a folder from its own place."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BUNDLE", "CONFIGS", "METADATA", "SYNTHETIC", "TESTS"]

#: The folder ``bundle/``, which holds configs, docs, label, models and scripts.
BUNDLE = Path(__file__).parents[2]

#: The folder of all configs.
CONFIGS = BUNDLE / "configs"

#: The file that tells the bundle's version, packages and data format.
METADATA = CONFIGS / "metadata.json"

#: The folder that synthetic images are drawn into.
SYNTHETIC = BUNDLE / "data" / "synthetic"

#: The folder of the tests; it is there in a clone of the repository, not in an installed bundle.
TESTS = BUNDLE.parent / "tests"
