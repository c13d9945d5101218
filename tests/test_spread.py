# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

from __future__ import annotations

import time

import pytest

from scripts.spread import spread


def test_each_device_does_one_job_at_a_time_for_each_time_it_is_named():
    running: list[str] = []
    did: dict[int, str] = {}

    def run(job: int, device: str) -> None:
        running.append(device)
        assert running.count(device) <= ["0", "1", "1"].count(device)
        time.sleep(0.05)
        did[job] = device
        running.remove(device)

    start = time.monotonic()
    spread(range(9), ["0", "1", "1"], run)
    assert sorted(did) == list(range(9)) and set(did.values()) == {"0", "1"}
    assert time.monotonic() - start < 9 * 0.05


def test_without_devices_one_job_follows_the_other():
    did = []
    spread("abc", [], lambda job, device: did.append((job, device)))
    assert did == [("a", None), ("b", None), ("c", None)]


def test_after_a_failure_no_other_is_begun_and_those_that_run_end():
    did = []

    def run(job: int, device: str) -> None:
        if job == 1:
            raise RuntimeError("job 1 failed")
        time.sleep(0.2)
        did.append(job)

    with pytest.raises(RuntimeError, match="job 1 failed"):
        spread(range(5), ["0", "1"], run)
    assert did == [0]
