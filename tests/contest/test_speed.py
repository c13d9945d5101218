# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

from scripts.common.files import write_json
from scripts.contest import speed


def test_networks_are_timed_again_when_they_or_the_device_change(tmp_path, monkeypatch):
    times = {"median": 1.0}
    monkeypatch.setattr(speed, "latency", lambda builds, *_: dict.fromkeys(builds, times))
    monkeypatch.setattr(speed, "train_step", lambda builds, *_: {name: times for name in builds if name != "large"})
    counted = []
    monkeypatch.setattr(speed, "count", lambda build, size: counted.append(build) or (1, 1.0))

    def timed(definition: str = "a", device: str = "cpu", name: str = "net") -> int:
        counted.clear()
        found = speed.measured(tmp_path / "s.json", {name: None}, {name: definition}, 64, torch.device(device))
        write_json(tmp_path / "s.json", found)
        return len(counted)

    assert [timed(), timed(), timed("b"), timed("b"), timed("b", "meta"), timed("b", "meta")] == [1, 0, 1, 0, 1, 0]
    assert [timed(name="large"), timed(name="large")] == [1, 1]  # what was not timed for want of memory is tried again
