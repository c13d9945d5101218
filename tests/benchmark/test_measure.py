# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import signal
from functools import partial

import pytest
import torch

from scripts.benchmark import measure
from scripts.benchmark.contenders import inferring, training

CPU = torch.device("cpu")


def test_parameters_and_multiplications_are_counted():
    parameters, gmacs = measure.count(inferring(None, CPU, compiles=False)["QTSeg, reference"], 512)
    assert parameters == 9_214_850
    assert gmacs == pytest.approx(2.559, abs=0.01)  # as published, without normalization and resizing
    assert measure.count(inferring(None, CPU, compiles=False)["QTSeg"], 512)[1] < gmacs


def test_networks_are_timed_in_turn():
    calls: list[str] = []
    timers = {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}
    times = measure.in_turn(timers, rounds=4, warm_up=1)
    assert "".join(calls) == "ab" * 5
    assert times == {"a": [3, 5, 7, 9], "b": [4, 6, 8, 10]}


def test_what_takes_long_is_measured_less_often():
    timers = {"quick": lambda: 1.0, "slow": lambda: 6.0, "very slow": lambda: 11.0}
    times = measure.in_turn(timers, rounds=4, warm_up=1, enough=10)
    assert {name: len(values) for name, values in times.items()} == {"quick": 4, "slow": 1, "very slow": 1}
    assert measure._quartiles([2.0]) == [2.0, 2.0, 2.0]
    assert measure._quartiles([1.0, 4.0]) == [1.75, 2.5, 3.25]  # within what was measured


def test_each_network_is_timed_in_a_process_of_its_own():
    timed = measure._in_turn({"a": _prepare_nothing, "b": _prepare_nothing}, CPU, 4)
    processes = {process for _, process in timed.values()} | {os.getpid(), measure.in_own_process(os.getpid)}
    assert len(processes) == 4
    assert all(0 < values["low"] <= values["median"] <= values["high"] for values, _ in timed.values())


def test_memory_of_a_step_grows_with_the_batch():
    contenders = {"QTSeg": training(None, CPU)["QTSeg"]}
    few, many = (measure.train_step(contenders, 256, batch, CPU, 2)["QTSeg"]["memory"] for batch in (2, 8))
    assert many > 2 * few > 0


@pytest.mark.parametrize(
    "name, cause",
    [
        ("_huge", "CUDA out of memory"),
        ("_huge_when_timed", "CUDA out of memory"),
        ("_killed", "its process was killed, most likely because memory was short"),
    ],
)
def test_what_does_not_fit_into_memory_is_left_out_and_said(name: str, cause: str, caplog: pytest.LogCaptureFixture):
    assert set(measure._in_turn({"small": _prepare_nothing, "huge": globals()[name]}, CPU, 2)) == {"small"}
    assert caplog.text.count(f"huge is left out: {cause}; if it does not fit, name a smaller --batch") == 1


def test_an_error_in_a_first_pass_ends_the_measurement():
    with pytest.raises(ValueError, match="wrong size"):
        measure._in_turn({"wrong": _wrong}, CPU, 2)


def _prepare_nothing() -> int:
    measure._run = int
    return os.getpid()


def _wrong() -> float:
    def run() -> None:
        raise ValueError("wrong size")

    return measure._peak(run, CPU)


def _huge() -> int:
    raise torch.OutOfMemoryError("CUDA out of memory")


def _killed() -> int:
    """Prepare what ends its process in the first turn, as Linux does where memory runs out."""
    measure._run = partial(os.kill, os.getpid(), signal.SIGKILL)
    return os.getpid()


def _huge_when_timed() -> int:
    measure._run = _huge
    return os.getpid()
