# SPDX-License-Identifier: Apache-2.0

"""The memory of a training stays level, however long it is: ``pytest -m battery``."""

from __future__ import annotations

import re
from statistics import median

import psutil
import pytest

from trainings import arguments, started

pytestmark = pytest.mark.battery

EPOCHS = 200
GROWTH = 16  # MiB that the last quarter may lie above the second


def test_memory_stays_level(blobs, tmp_path):
    used = {}
    with started(arguments(tmp_path, blobs, max_epochs=EPOCHS, spatial_size="[32,32]", save_interval=10)) as job:
        process = psutil.Process(job.pid)
        for line in job.stdout:
            if match := re.search(rf"epoch +(\d+)/{EPOCHS}", line):
                used[int(match[1])] = process.memory_info().rss / 2**20
    assert job.returncode == 0 and len(used) == EPOCHS
    second, last = (median(used[epoch] for epoch in quarter) for quarter in (range(51, 101), range(151, 201)))
    print(", ".join(f"epoch {epoch}: {used[epoch]:.0f} MiB" for epoch in (1, 10, 25, 50, 100, 150, 200)))
    assert last - second < GROWTH, used
