# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import time

import pytest

from scripts.common.errors import InputError
from scripts.experiments.device_pool import spread, usable_gpus


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


@pytest.mark.parametrize(
    "visible, devices, called",
    [
        (None, ["1", "0"], ["1", "0"]),
        ("4,6", ["1", "1", "0"], ["6", "6", "4"]),
        ("GPU-8f,GPU-a3", ["1"], ["GPU-a3"]),
        ("4,6", ["GPU-8f"], ["GPU-8f"]),
        ("4,6", [], []),
    ],
)
def test_gpus_are_counted_among_those_that_may_be_used(visible, devices, called, two_gpus):
    two_gpus(visible)
    assert usable_gpus(devices) == called


@pytest.mark.parametrize(
    "visible, told",
    [
        (None, "2 may be used, counted from 0"),
        ("4,6", r"2 may be used \(CUDA_VISIBLE_DEVICES is '4,6'\)"),
        ("4,-1,6", "1 may be used"),
        ("", "0 may be used"),
    ],
)
def test_a_gpu_beyond_those_is_refused(visible, told, two_gpus):
    two_gpus(visible)
    with pytest.raises(InputError, match=f"--devices names GPU 2, and {told}"):
        usable_gpus(["0", "2"] if visible else ["2"])


def test_without_any_gpu_numbers_are_jobs_beside_each_other(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert usable_gpus(["0", "3"]) == ["0", "3"]


@pytest.fixture()
def two_gpus(monkeypatch):
    """A machine of two GPUs, of which an environment variable shows some."""

    def show(visible: str | None) -> None:
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    return show
