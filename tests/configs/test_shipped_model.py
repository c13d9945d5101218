# SPDX-License-Identifier: Apache-2.0

"""The model of nuclei in ``models/``, which inference uses until a training has put another there."""

from __future__ import annotations

import csv
import json
import re
import shutil
from statistics import mean

import pytest
import torch

from forked import run_forked
from scripts.checkpoints.model_settings import read_settings
from scripts.common.files import file_digest
from scripts.data.synthetic.dataset import make_dataset, otsu_dice
from workflows import BUNDLE, config_files, run, train_small

MODELS = BUNDLE / "models"
METADATA = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
CARD = (BUNDLE / "docs" / "README.md").read_text()
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A copy, unless a training of the reader has put another in its place: that is then not what is tested."""
    if (MODELS / "model.previous.pt").is_file():
        pytest.skip("a training has replaced the model that came with the bundle")
    return shutil.copytree(MODELS, tmp_path_factory.mktemp("shipped") / "models")


def test_it_is_light_and_names_neither_files_nor_groups(shipped):
    assert (shipped / "model.pt").stat().st_size <= 19 * MEGABYTE
    settings = read_settings(shipped)
    images = settings["images"]
    assert len(images) == 670 and {image["part"] for image in images.values()} == {"train", "validate"}
    assert all(name.isdecimal() and image["group"].isdecimal() for name, image in images.items())
    assert settings["dataset_dir"] is settings["split"] is settings["weights"] is None
    assert settings["layout"] == "folder"
    digest = file_digest(shipped / "model.pt")
    assert digest == METADATA["model_sha256"] and digest in CARD


def test_it_segments_right_after_installing_and_is_scored_on_images_of_any_folder(shipped, tmp_path):
    drawn = make_dataset(tmp_path / "drawn", num_images=10)
    evaluating = {"ckpt_dir": str(shipped), "output_dir": str(tmp_path), "tracking_uri": f"sqlite:///{tmp_path}/db"}
    run("train", "evaluate", run_id="evaluating", dataset_dir=str(drawn), **evaluating)
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    dice = summary["protocols"][0]["scores"]["dice"]["mean"]
    pairs = [(str(image), str(drawn / "masks" / image.name)) for image in sorted((drawn / "images").iterdir())]
    assert summary["num_images"] == 10 and dice > max(0.8, otsu_dice(pairs))

    image = min((drawn / "images").iterdir())
    inferring = ("run", "inferring", "--config_file", *config_files("inference"), "--bundle_root", str(BUNDLE))
    chosen = ("--ckpt_dir", str(shipped), "--dataset_dir", str(image), "--output_dir", str(tmp_path / "masks"))
    done = run_forked(*inferring, *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "masks" / image.name).is_file()


def test_a_training_on_own_images_keeps_it(shipped, blobs, tmp_path, capsys):
    shutil.copytree(shipped, tmp_path / "models")
    train_small(tmp_path, blobs)
    assert file_digest(tmp_path / "models" / "model.previous.pt") == file_digest(shipped / "model.pt")
    assert f"is kept as {tmp_path / 'models' / 'model.previous.pt'}" in capsys.readouterr().out
    assert read_settings(tmp_path / "models")["spatial_size"] == [64, 64]


def test_a_training_goes_on_from_it_in_full_precision(shipped, blobs, tmp_path):
    train_small(tmp_path, blobs, weights=str(shipped / "model.pt"), learning_rate=1e-12)
    network = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    start = torch.load(shipped / "model.pt", weights_only=True)
    assert {each.dtype for each in start.values()} == {torch.float16}
    assert all(torch.allclose(each, start[name].float()) for name, each in network.items())
    assert len(read_settings(tmp_path / "models")["seen_before"]) == len(read_settings(shipped)["images"])


def test_what_is_told_of_it_was_measured():
    (path,) = (BUNDLE / "docs" / "results" / "dsb2018_512").glob("*.csv")
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {name: mean(float(row[name]) for row in rows) for name in ("dice", "iou", "mae")}
    assert list(METADATA["eval_metrics"].values()) == [pytest.approx(value, abs=5e-5) for value in found.values()]
    row = re.search(r"^\| all \| (\d+) \| ([\d.]+) .*\| ([\d.]+) \|$", CARD, re.M)
    lowest = min(float(row["dice"]) for row in rows)
    assert row.groups() == (str(len(rows)), f"{100 * found['dice']:.2f}", f"{100 * lowest:.2f}")
