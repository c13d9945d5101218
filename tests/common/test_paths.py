# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

from scripts.common.paths import BUNDLE, CONFIGS, METADATA, SYNTHETIC, TESTS


def test_all_folders_are_parts_of_one_checkout():
    checkout = Path(__file__).parents[2]
    assert TESTS == checkout / "tests" and BUNDLE == checkout / "bundle"
    assert CONFIGS == BUNDLE / "configs" and (CONFIGS / "train.json").is_file()
    assert SYNTHETIC == BUNDLE / "data" / "synthetic"
    assert json.loads(METADATA.read_text())["network_data_format"]["inputs"]["image"]["num_channels"] == 3
