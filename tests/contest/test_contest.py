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

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.contest.__main__ import main
from scripts.contest.contestants import Contestant
from scripts.contest.table import read_results, results_path, write_contest
from scripts.errors import InputError
from scripts.scored_runs import ScoredRuns
from scripts.whole_files import write_csv, write_json
from workflows import BUNDLE, CONFIGS

TRAIN = str(CONFIGS / "train.json")
SMALL = ("--spatial_size", "[64,64]", "--batch_size", "4", "--max_epochs", "1", "--speed_size", "64")
SMALL += ("--speed_device", "cpu")


def arguments(folder: Path, dataset_dir: Path, *words: str) -> list[str]:
    files = ["--config_file", TRAIN, "--bundle_root", str(BUNDLE), "--networks", "qtseg_without_bridge", "unet"]
    return [*files, "--output_dir", str(folder), "--dataset_dir", str(dataset_dir), *SMALL, *words]


@pytest.fixture(scope="module")
def held(blobs, tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("contest") / "held"
    words = arguments(folder, blobs, "--recipes", "paper")
    # what its processes load differs from main's
    done = subprocess.run([sys.executable, "-m", "scripts.contest", *words], cwd=BUNDLE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return SimpleNamespace(folder=folder, table=json.loads((folder / "contest.json").read_text()))


def test_all_networks_are_in_one_table(held):
    text = (held.folder / "contest.md").read_text()
    assert "| paper | qtseg_without_bridge | 0 |" in text and "| paper | unet | 0 |" in text
    assert "python -m scripts.contest --config_file" in text and "| 8.94 |" in text and "| 3.66 |" in text
    assert [each["network"] for each in held.table["trainings"]] == ["qtseg_without_bridge", "unet"]
    assert (held.folder / "contest.png").read_bytes().startswith(b"\x89PNG")
    for name in ("qtseg_without_bridge", "unet"):
        cost = held.table["speed"]["networks"][name]
        assert cost["latency"]["median"] > 0 and cost["step"]["median"] > 0
        model = json.loads((held.folder / "paper" / name / "seed_0" / "model.json").read_text())
        assert model["network_name"] == name and model["learning_rate_step"] == 1


def test_the_scores_of_each_image_lie_beside_it(held):
    (row,) = [each for each in held.table["trainings"] if each["network"] == "unet"]
    with open(held.folder / "results" / "paper.unet.seed_0.csv", newline="") as file:
        images = list(csv.DictReader(file))
    assert len(images) == row["num_images"] and all(each["image"].startswith("images/") for each in images)
    (by_seed,) = read_results(held.folder, [Contestant("paper", "unet")], [0]).values()
    alone = [each["image"] for each in images if not each["group"]]  # which the table need not say twice
    assert alone and all(by_seed[0][image]["group"] == image for image in alone)
    dice = [float(each["dice"]) for each in images]
    assert row["scores"]["dice"]["mean"] == pytest.approx(sum(dice) / len(dice))
    summary = json.loads((held.folder / "paper" / "unet" / "seed_0" / "evaluation" / "summary.json").read_text())
    assert row["scores"]["dice"]["mean"] == pytest.approx(summary["protocols"][0]["scores"]["dice"]["mean"], abs=1e-5)


def test_what_is_done_is_not_done_again(held, blobs, capsys):
    before = {path: path.stat().st_mtime_ns for path in held.folder.glob("paper/*/*/model.pt")}
    assert len(before) == 2
    main(arguments(held.folder, blobs, "--recipes", "paper"))
    assert "| paper | unet | 0 |" in capsys.readouterr().out
    assert json.loads((held.folder / "contest.json").read_text()) == held.table  # times are not taken again, either
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_was_scored_is_not_scored_again(held, blobs, monkeypatch):
    path = held.folder / "results" / "paper.unet.seed_0.csv"
    before = path.read_text()
    path.unlink()
    monkeypatch.setattr(ScoredRuns, "train_and_score", None)
    main(arguments(held.folder, blobs, "--recipes", "paper"))
    assert path.read_text() == before


def test_the_scores_are_all_that_a_later_contest_needs(held, blobs, tmp_path):
    for name in ("results", "speed.json"):
        copy = shutil.copytree if (held.folder / name).is_dir() else shutil.copy
        copy(held.folder / name, tmp_path / name)
    main(arguments(tmp_path, blobs, "--recipes", "paper"))
    assert json.loads((tmp_path / "contest.json").read_text())["trainings"] == held.table["trainings"]


def test_mistakes_are_one_sentence(held, blobs, capsys):
    for words, told in (
        (["--recipes", "soup"], "soup.json is not there; the recipes are "),
        (["--recipes", "paper", "--seed", "1"], "seed is set for each training by the contest; leave it out"),
        (["--recipes", "paper", "--norm", "group"], "norm is set for each training by the contest; leave it out"),
        (["--recipes", "paper", "--max_epoch", "3"], "max_epoch"),
        (["--recipes", "paper", "--fold", "1"], "was begun with fold None, now it is 1; set it as it was to go on"),
    ):
        with pytest.raises(SystemExit):
            main(arguments(held.folder, blobs, *words))
        said = capsys.readouterr().err
        assert told in said and len(said.splitlines()) == 1


def test_a_wrong_knob_binds_no_folder(blobs, tmp_path, capsys):
    for words in (["--val_interval", "0"], ["--val_intervals", "1"]):
        with pytest.raises(SystemExit):
            main(arguments(tmp_path, blobs, "--recipes", "paper", *words))
        assert words[0][2:] in capsys.readouterr().err
    assert not (tmp_path / "settings.json").exists() and not (tmp_path / "speed.json").exists()


def scores(dice: float, group: str = "") -> dict[str, float | str]:
    others = dict.fromkeys(("iou", "mae", "hd95", "paper_dice", "paper_iou", "paper_mae"), 0.5)
    return {"group": group, "dice": dice, **others}


def table_of(folder: Path, results: dict) -> str:
    for each, by_seed in results.items():
        for seed in by_seed:
            write_json(results_path(folder, each, seed).with_suffix(".json"), {"machine": "there", "hours": 1.0})
    cost = {"parameters": 1e6, "gmacs": 1.0, "latency": None, "step": {"median": 7}}
    return write_contest(folder, results, {"machine": "here", "size": 32, "networks": {"a": cost, "b": cost}}, "this")


def test_what_trained_and_what_was_timed_may_be_two_machines(held, blobs, tmp_path, capsys):
    shutil.copytree(held.folder / "results", tmp_path / "results")
    for file in (tmp_path / "results").glob("*.json"):
        file.write_text(json.dumps({"machine": "2020-02-20: a cluster.", "hours": 1.25}))
    speed = json.loads((held.folder / "speed.json").read_text())
    (tmp_path / "speed.json").write_text(json.dumps({**speed, "machine": "2021-01-21: a laptop."}))
    main(arguments(tmp_path, blobs, "--recipes", "paper"))
    text = capsys.readouterr().out
    assert "2 trainings in 2.5 hours, evaluations counted:\n- 2020-02-20: a cluster.\n\n" in text
    assert "a training step of 8; 2021-01-21: a laptop.\n" in text


def test_hours_add_up_over_interruptions(tmp_path):
    runs = ScoredRuns(tmp_path, {}, "settings.json")
    (tmp_path / "run").mkdir()
    assert runs.hours("run") == 0
    for _ in range(2):
        with pytest.raises(ValueError), runs._timed("run"):
            time.sleep(0.1)
            raise ValueError
    assert 0.2 <= 3600 * runs.hours("run") < 2


def test_differences_are_paired_by_image_and_seed(tmp_path):
    # of images that differ by far more than the networks do
    level = [i / 10 for i in range(8)]
    ours = {s: {f"{i}.png": scores(level[i] + 0.02 + s / 100, f"{i}") for i in range(8)} for s in (0, 1)}
    theirs = {s: {f"{i}.png": scores(level[i] + s / 100, f"{i}") for i in range(8)} for s in (1, 2)}
    results = {Contestant("r", "a"): ours, Contestant("r", "b"): theirs}
    text = table_of(tmp_path, results)
    first, second = json.loads((tmp_path / "contest.json").read_text())["trainings"]
    assert "difference" not in first["scores"]["dice"]
    difference = second["scores"]["dice"]["difference"]
    assert difference["seeds"] == [1]  # which both have
    assert difference["mean"] == pytest.approx(-0.02) and difference["high"] < -0.019  # images alike in all but that
    assert first["scores"]["dice"]["sd_of_seeds"] == pytest.approx(0.01 / 2**0.5)
    assert "| -2.00 (-2.00 to -2.00) | 1.00 | 1.00 | - | 7 |" in text


def test_intervals_are_over_groups_of_images(tmp_path):
    widths = []
    for groups in (range(40), [i // 20 for i in range(40)], [0] * 40):
        table = {f"{i:02}.png": scores(0.9 if i < 20 else 0.5, f"{group}") for i, group in enumerate(groups)}
        text = table_of(tmp_path, {Contestant("r", "a"): {0: table}})
        (row,) = json.loads((tmp_path / "contest.json").read_text())["trainings"]
        dice = row["scores"]["dice"]
        widths.append(None if dice["low"] is None else dice["high"] - dice["low"])
    assert widths[0] < 0.15 and widths[1] == pytest.approx(0.4)  # two patients tell little of others
    assert widths[2] is None and "| 70.00 (one group: no interval) |" in text


def test_scores_of_other_images_do_not_mix(tmp_path):
    contestants = [Contestant("paper", name) for name in "ab"]
    for contestant, image in zip(contestants, ("1.png", "2.png")):
        row = {"image": image, **scores(0.5)}
        path = results_path(tmp_path, contestant, 0)
        write_csv(path, list(row), [list(row.values())])
    with pytest.raises(InputError, match="results holds scores of different images; give another --output_dir"):
        read_results(tmp_path, contestants, [0])


def test_an_overlay_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="networks/none.json is not there; the networks are attention_unet, "):
        Contestant("paper", "none").config_files([TRAIN])
