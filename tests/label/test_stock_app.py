# SPDX-License-Identifier: Apache-2.0

"""The bundle in the app `monaibundle` that comes with MONAI Label, asked over HTTP."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from servers import Server, dice, mean_dice, put_labels, serve
from workflows import BUNDLE

pytest.importorskip("monailabel")
pytestmark = pytest.mark.battery  # its trainings take minutes, and the bundle's own app is the one to use
APP = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"


@pytest.fixture(scope="module")
def server(trained, blobs, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("stock")
    app = shutil.copytree(APP, folder / "monaibundle")
    bundle = app / "model" / "qtseg"
    for part in ("configs", "scripts", "docs"):
        shutil.copytree(BUNDLE / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
    ckpt_dir = shutil.copytree(trained.ckpt_dir, bundle / "models")
    studies = shutil.copytree(blobs / "images", folder / "studies")
    conf = {"models": "qtseg", "zoo_source": "local", "sam2": "false"}
    variables = {"PYTHONPATH": str(Path(__file__).parent / "on_cpu")}
    with serve(app, studies, ckpt_dir, folder / "log.txt", conf=conf, environment=variables) as server:
        yield server


def test_info(server):
    assert set(server.info()["models"]) == {"qtseg"} and set(server.info()["trainers"]) == {"qtseg"}


def test_masks_are_those_of_the_bundles_own_inference(server, masks):
    for name, expected in masks.items():
        answer = server.infer(name)
        assert answer.status_code == 200, answer.text
        found = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert found.shape == expected.shape and dice(found == 1, expected == 1) > 0.99


def test_many_ask_at_once(server, masks):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda i: server.infer(sorted(masks)[i % len(masks)]).status_code, range(60)))
    assert answers == [200] * 60


def test_trains_on_labels_from_the_model_there_is(server, trained, blobs, masks, tmp_path):
    names = sorted(masks)
    put_labels(server, blobs, names[:8], tmp_path)
    assert server.next_image("random") in names[8:]
    path = server.ckpt_dir / "model.pt"
    before = path.read_bytes()
    config = server.ckpt_dir.parent / "configs" / "train.json"
    as_it_is = config.read_text()
    ruinous = {**json.loads(as_it_is), "learning_rate": 1.0}
    config.write_text(json.dumps(ruinous))
    status, told = server.train(max_epochs=1, val_split=0.25)
    assert status == "DONE", told
    config.write_text(as_it_is)
    tensors, kept = (torch.load(io.BytesIO(each), weights_only=True) for each in (before, path.read_bytes()))
    assert all(torch.equal(tensors[key], kept[key]) for key in tensors)  # the better model stays
    worse = mean_dice(server, blobs, names[:8])
    status, told = server.train(max_epochs=40, val_split=0.25)
    assert status == "DONE", told
    assert mean_dice(server, blobs, names[:8]) > worse + 0.1
    settings = json.loads((server.ckpt_dir / "model.json").read_text())
    parts = {Path(name).stem: image["part"] for name, image in settings["images"].items()}
    assert set(parts) == set(names[:8]) and sorted(parts.values()) == ["test"] * 2 + ["train"] * 6
    same = ("spatial_size", "geometry", "out_channels", "color_space")
    assert {name: settings[name] for name in same} == {name: trained.settings[name] for name in same}
    assert settings["dataset_dir"] == str(server.studies) and settings["max_epochs"] == 40


def test_too_few_labels_are_said(server):
    status, told = server.train(max_epochs=1, val_split=0)
    assert status == "ERROR" and "validate#dataset#data has no image" in told and "set val_split to 0.2" in told
