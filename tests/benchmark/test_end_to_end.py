# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.benchmark.end_to_end import epoch, files_to_masks

CPU = torch.device("cpu")


def test_the_journey_is_timed(blobs: Path):
    masks = files_to_masks(str(blobs / "images"), None, 64, CPU, rounds=1)
    assert masks["images"] == len(list((blobs / "images").iterdir()))
    assert masks["ratio"] == pytest.approx(masks["images_per_second_of_the_network"] / masks["images_per_second"])
    trained = epoch(str(blobs), "folder", 64, 4, CPU, rounds=1)
    assert trained["steps"] > 0
    assert trained["ratio"] == pytest.approx(trained["seconds"] / trained["seconds_without_data"])
