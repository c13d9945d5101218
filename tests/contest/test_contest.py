# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from scripts.cleaning_search import search_cleaning
from scripts.common.errors import InputError
from scripts.contest import __main__ as program
from scripts.contest.__main__ import main
from scripts.contest.contestants import Contestant
from scripts.contest.results import read_results
from scripts.experiments.scored_runs import ScoredRuns
from scripts.export.formats import export
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
    assert "The held-out protocol: the epoch was chosen on other images. Means over" in text
    assert "python -m scripts.contest --config_file" in text and "| 8.94 |" in text and "| 3.66 |" in text
    assert [each["network"] for each in held.table["contestants"]] == ["qtseg_without_bridge", "unet"]
    assert (held.folder / "contest.png").read_bytes().startswith(b"\x89PNG")
    for name in ("qtseg_without_bridge", "unet"):
        cost = held.table["speed"]["networks"][name]
        assert cost["latency"]["median"] > 0 and cost["step"]["median"] > 0
        model = json.loads((held.folder / "paper" / name / "seed_0" / "model.json").read_text())
        assert model["network_name"] == name and model["learning_rate_step"] == 1


def test_the_scores_of_each_image_lie_beside_it(held):
    (row,) = [each for each in held.table["contestants"] if each["network"] == "unet"]
    with open(held.folder / "results" / "paper.unet.seed_0.csv", newline="") as file:
        images = list(csv.DictReader(file))
    assert len(images) == row["num_images"] and all(each["image"].startswith("images/") for each in images)
    terms = json.loads((held.folder / "results" / "paper.unet.seed_0.json").read_text())["training"]
    (by_seed,) = read_results(held.folder, {Contestant("paper", "unet"): terms}, [0]).values()
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


def test_the_scores_are_all_that_a_later_contest_needs(held, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(ScoredRuns, "train_and_score", None)
    for name in ("results", "speed.json"):
        copy = shutil.copytree if (held.folder / name).is_dir() else shutil.copy
        copy(held.folder / name, tmp_path / name)
    main(arguments(tmp_path, blobs, "--recipes", "paper"))
    assert json.loads((tmp_path / "contest.json").read_text())["contestants"] == held.table["contestants"]


def test_a_model_of_another_network_can_be_cleaned_but_not_exported(held, tmp_path):
    model = held.folder / "paper" / "unet" / "seed_0"
    assert 0 <= search_cleaning(model)["dice"] <= 1
    with pytest.raises(InputError, match="has a model of unet; only QTSeg can be exported"):
        export(model, tmp_path)


def test_all_seeds_are_scored_on_the_same_images(blobs, tmp_path, monkeypatch):
    told = []

    class Stopped(Exception):
        pass

    def monai(self: ScoredRuns, run_id: str, files: list[str], knobs: dict[str, str], *_: object) -> None:
        told.append(knobs)
        raise Stopped

    monkeypatch.setattr(ScoredRuns, "_monai", monai)
    monkeypatch.setattr(program, "measured", lambda *_: {})
    for seed in ("0", "1"):
        with pytest.raises(Stopped):
            main(arguments(tmp_path, blobs, "--recipes", "paper", "--seeds", seed))
    first, second = told
    assert (first["seed"], second["seed"]) == ("0", "1")
    assert first["split"] == second["split"] == str(tmp_path / "split.json") and (tmp_path / "split.json").is_file()


def test_scores_of_another_training_are_refused(held, blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ScoredRuns, "train_and_score", None)
    monkeypatch.setattr(program, "measured", None)

    def refusal(*words: str) -> str:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        shutil.copytree(held.folder / "results", folder / "results")
        with pytest.raises(SystemExit):
            main(arguments(folder, blobs, "--recipes", "paper", *words))
        return capsys.readouterr().err

    assert "is of another training (learning_rate was 0.001 and is 0.01); set" in refusal("--learning_rate", "0.01")
    configs = shutil.copytree(CONFIGS, tmp_path / "configs")
    overlay = configs / "networks" / "unet.json"
    overlay.write_text(overlay.read_text().replace("[24, 48, 96, 192, 384]", "[8, 16, 32, 64, 128]"))
    told = refusal("--config_file", str(configs / "train.json"))
    difference = "network: channels was [24, 48, 96, 192, 384] and is [8, 16, 32, 64, 128]"
    assert f"paper.unet.seed_0.csv is of another training ({difference}); set" in told
    images = shutil.copytree(blobs, tmp_path / "blobs")
    mask = Image.open(images / "masks" / "case 00.png").transpose(Image.Transpose.ROTATE_180)
    mask.save(images / "masks" / "case 00.png")
    assert "(images_digest was " in refusal("--dataset_dir", str(images))
    assert "(pixel_size was null and is 0.5)" in refusal("--pixel_size", "0.5")


def test_mistakes_are_one_sentence(held, blobs, capsys):
    for words, told in (
        (["--recipes", "soup"], "soup.json is not there; the recipes are "),
        (["--recipes", "paper", "--seed", "1"], "seed is set for each training by the contest; leave it out"),
        (["--recipes", "paper", "--norm", "group"], "norm is set for each training by the contest; leave it out"),
        (["--recipes", "paper", "--weights", "a.pt"], "a contest trains from random weights; leave out weights and"),
        (["--recipes", "paper", "--learning_rate_step", "3"], "learning_rate_step is set by "),
        (["--recipes", "paper", "--augment", "None"], "recipes/paper.json; leave it out, or write an overlay"),
        (["--recipes", "paper", "--speed_size", "100"], "speed_size is 100; it must be divisible by 32"),
        (["--recipes", "paper", "--seeds", "0", "-1"], "seed is -1"),
        (["--recipes", "paper", "--max_epoch", "3"], "max_epoch"),
        (["--recipes", "paper", "--fold", "1"], "was begun with fold None, now it is 1; set it as it was to go on"),
    ):
        with pytest.raises(SystemExit):
            main(arguments(held.folder, blobs, *words))
        said = capsys.readouterr().err
        assert told in said and len(said.splitlines()) == 1


def test_a_wrong_knob_binds_no_folder(blobs, tmp_path, capsys):
    for *words, told in (
        ("--val_interval", "0", "val_interval"),
        ("--val_intervals", "1", "val_intervals"),
        ("--pixel_size", "0", "pixel_size is 0; it must be the side of a pixel in mm"),
        ("--fold", "7", "fold is 7, but the split has 5 fold(s)"),
        ("--split", "all", "fold 0 of the split holds no image out to score; set another --split"),
    ):
        with pytest.raises(SystemExit):
            main(arguments(tmp_path, blobs, "--recipes", "paper", *words))
        assert told in capsys.readouterr().err
    assert not (tmp_path / "settings.json").exists() and not (tmp_path / "speed.json").exists()


def test_what_trained_and_what_was_timed_may_be_two_machines(held, blobs, tmp_path, capsys):
    shutil.copytree(held.folder / "results", tmp_path / "results")
    for file in (tmp_path / "results").glob("*.json"):
        taken = {"machine": "2020-02-20: a cluster.", "hours": 1.25}
        file.write_text(json.dumps({**json.loads(file.read_text()), **taken}))
    times = json.loads((held.folder / "speed.json").read_text())
    (tmp_path / "speed.json").write_text(json.dumps({**times, "machine": "2021-01-21: a laptop."}))
    main(arguments(tmp_path, blobs, "--recipes", "paper"))
    text = capsys.readouterr().out
    assert "2 trainings in 2.5 hours, evaluations counted:\n- 2020-02-20: a cluster.\n\n" in text
    assert "a training step of 8; 2021-01-21: a laptop.\n" in text
    assert len([line for line in text.splitlines() if line.startswith("| paper |") and line.endswith(" | 1.25 |")]) == 2


def test_trainings_are_spread_over_devices(held, blobs, tmp_path, monkeypatch):
    folder = tmp_path / "spread"
    folder.mkdir()
    shutil.copy(held.folder / "speed.json", folder)
    used: dict[str, str] = {}

    def train_and_score(self: ScoredRuns, name: str, knobs: object, *, overlays: object, device: str) -> None:
        time.sleep(0.2)  # so that the other device takes the other training
        used[name] = device
        done = held.folder / name.replace("seed_1", "seed_0")
        shutil.copytree(done / "evaluation", self.scores_dir(name))
        shutil.copy(done / "hours.json", self.model_dir(name))

    monkeypatch.setattr(ScoredRuns, "train_and_score", train_and_score)
    main(arguments(folder, blobs, "--recipes", "paper", "--seeds", "0", "1", "--devices", "3", "1"))
    assert len(used) == 4 and set(used.values()) == {"3", "1"}
    contestants = json.loads((folder / "contest.json").read_text())["contestants"]
    assert [each["seeds"] for each in contestants] == [[0, 1], [0, 1]]
