# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from scripts.benchmark import measure
from scripts.benchmark.__main__ import main
from scripts.benchmark.contenders import inferring, training
from scripts.benchmark.end_to_end import epoch, files_to_masks
from scripts.networks.qtseg import QTSeg

CPU = torch.device("cpu")


def test_all_forms_of_qtseg_predict_the_same():
    image, logits = torch.rand(1, 3, 64, 64) * 2 - 1, {}
    for name, build in inferring(None, CPU, compiles=False).items():
        if name.startswith("QTSeg"):
            with torch.no_grad():
                logits[name] = build()(image)
    expected = logits.pop("QTSeg, reference")
    assert set(logits) == {
        "QTSeg, reference, native",
        "QTSeg",
        "QTSeg, folded",
        "QTSeg, folded, TorchScript",
        "QTSeg, bfloat16",
        "QTSeg, bfloat16, TorchScript",
    }
    for name, values in logits.items():
        tolerance = 0.2 if "bfloat16" in name else 1e-4
        torch.testing.assert_close(values, expected, atol=tolerance, rtol=0, msg=name)


def test_weights_of_another_form_are_measured_as_they_are(tmp_path: Path):
    torch.manual_seed(0)
    network, image = QTSeg(3, 2, norm="group", detail=True, refine=True).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    torch.save(network.state_dict(), tmp_path / "model.pt")
    built = inferring(str(tmp_path / "model.pt"), CPU, compiles=False)
    with torch.no_grad():
        for name in ("QTSeg, reference", "QTSeg, folded"):
            torch.testing.assert_close(built[name]()(image), network(image), atol=1e-4, rtol=0)


def test_peers_give_masks_of_the_images_size():
    for name, build in training(None, CPU).items():
        assert build()(torch.rand(2, 3, 64, 64)).shape == (2, 2, 64, 64), name


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


def test_the_journey_is_timed(blobs: Path):
    masks = files_to_masks(str(blobs / "images"), None, 64, CPU, rounds=1)
    assert masks["images"] == len(list((blobs / "images").iterdir()))
    assert masks["ratio"] == pytest.approx(masks["images_per_second_of_the_network"] / masks["images_per_second"])
    trained = epoch(str(blobs), "folder", 64, 4, CPU, rounds=1)
    assert trained["steps"] > 0
    assert trained["ratio"] == pytest.approx(trained["seconds"] / trained["seconds_without_data"])


def test_the_command_writes_table_figures_and_plot(tmp_path: Path, blobs: Path, capsys: pytest.CaptureFixture):
    arguments = ["--sizes", "64", "--rounds", "2", "--batch", "2", "--only", "QTSeg"]
    main([*arguments, "--dataset_dir", str(blobs), "--output_dir", str(tmp_path), "--device", "cpu"])
    table = (tmp_path / "benchmark.md").read_text()
    assert capsys.readouterr().out.strip() == table.strip()
    assert "| QTSeg, folded | 9.21 |" in table and "UNet" not in table
    assert "python -m scripts.benchmark --sizes 64 --rounds 2" in table and " cores, " in table
    figures = json.loads((tmp_path / "benchmark.json").read_text())
    assert figures["size"]["64"]["QTSeg"]["step"]["median"] > 0
    assert figures["journey"]["epoch at 64"]["ratio"] > 0
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


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
