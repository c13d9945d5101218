# SPDX-License-Identifier: Apache-2.0

"""The MONAI Label app, asked over HTTP. Runs where the packages of bundle/label/requirements.txt are installed."""

from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from skimage.draw import polygon2mask

from scripts.common.errors import InputError
from scripts.inference.inputs import images_to_segment
from servers import dice, mean_dice, put_labels, serve_bundle
from workflows import BUNDLE

pytest.importorskip("monailabel")
nib = pytest.importorskip("nibabel")


def test_info(server):
    info = server.info()
    assert set(info["models"]) == {"qtseg"} and info["models"]["qtseg"]["labels"] == {"object": 1}
    assert "spatial_size" not in info["trainers"]["qtseg"]["config"]  # the model has its own
    assert set(info["strategies"]) == {"random", "first", "uncertainty"} and set(info["scoring"]) == {"dice"}


def test_no_web_page_of_another_server_may_ask(server):
    answer = requests.get(f"{server.url}/info/", headers={"Origin": "http://evil.example"}, timeout=20)
    assert not any(name.lower().startswith("access-control") for name in answer.headers)
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert requests.options(f"{server.url}/train/qtseg", headers=asked, timeout=20).status_code == 403


def test_inference_takes_the_images_and_not_the_labels(server, tmp_path):
    label = server.studies / "labels" / "final" / "drawn.png"
    label.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(label)
    found = images_to_segment(server.studies, output_dir=tmp_path)
    label.unlink()
    assert {Path(item["image"]).parent for item in found} == {server.studies}


def test_conf_that_is_not_known_is_told(app, tmp_path):
    told = "--conf out_chanels is not known here; use allowed_hosts, ckpt_dir, out_channels, output_dir"
    with pytest.raises(InputError, match=told):
        app.QTSegApp(str(BUNDLE / "label"), str(tmp_path), {"out_chanels": "3"})


@pytest.mark.parametrize("classes, told", [
    (4, "out_channels is 4, but .*model.pt is a model of 2 classes; give the folder of another model"),
    (0, "out_channels is 0; it must be a whole number of at least 2"),
    ("two", "out_channels is 'two'; it must be a whole number of at least 2"),
])
def test_numbers_of_classes_that_cannot_be_are_told(classes, told, app, trained, tmp_path):
    with pytest.raises(InputError, match=told):
        app.QTSegApp("", str(tmp_path), {"out_channels": str(classes), "ckpt_dir": str(trained.ckpt_dir)})


@pytest.mark.battery
def test_a_server_that_cannot_start_tells_why_in_its_log(tmp_path):
    with pytest.raises(AssertionError, match="--conf out_chanels is not known here; use allowed_hosts, ckpt_dir"):
        with serve_bundle(tmp_path, tmp_path, tmp_path / "models", out_chanels=3):
            pass


def test_masks_are_those_of_the_bundles_own_inference(server, masks):
    for name, expected in masks.items():
        answer = server.infer(name)
        assert answer.status_code == 200, answer.text
        found = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert found.shape == expected.shape and dice(found == 1, expected == 1) > 0.99


def test_polygons_and_volumes_overlay_the_image(server, masks, tmp_path):
    name = max(masks, key=lambda name: masks[name].mean())
    expected = masks[name] == 1
    assert expected.any()
    (annotation,) = server.infer(name, "json").json()["annotations"]
    (element,) = annotation["annotation"]["elements"]
    drawn = np.zeros(expected.shape, bool)
    for ring in element["contours"]:
        drawn |= polygon2mask(expected.shape, np.array(ring)[:, ::-1] - 0.5)
    assert dice(drawn, expected) > 0.95
    (tmp_path / "a.nii.gz").write_bytes(server.infer(name, result_extension=".nii.gz").content)
    voxels = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    np.testing.assert_array_equal(voxels[..., 0].T == 1, expected)


def test_what_cannot_be_segmented_is_said(server):
    assert server.infer("none").status_code == 404
    (server.studies / "broken.png").write_bytes(b"no image")
    try:
        time.sleep(2)  # the datastore looks at its folder
        answer = server.infer("broken")
        assert answer.status_code == 422 and "broken.png is not a PNG, JPEG" in answer.json()["detail"]
    finally:
        (server.studies / "broken.png").unlink()
        time.sleep(2)


def test_many_ask_at_once(server, masks):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda i: server.infer(sorted(masks)[i % len(masks)]).status_code, range(60)))
    assert answers == [200] * 60


def test_too_few_labels_are_told(app, tmp_path):
    no_labels = SimpleNamespace(get_labeled_images=lambda: [])
    with pytest.raises(InputError, match=r"0 image\(s\) have a final label; label at least 4 before training"):
        app.TrainOnLabels(None, tmp_path)({"max_epochs": 1}, no_labels)


def test_labels_come_back_are_scored_and_trained_on(server, blobs, masks, tmp_path):
    names = sorted(masks)
    put_labels(server, blobs, names[:8], tmp_path)
    for strategy in ("random", "first", "uncertainty"):
        assert server.next_image(strategy) in names[8:]
    scores = requests.post(f"{server.url}/scoring/dice?run_sync=true", timeout=100).json()
    found = {name: float(value) for name, value in _scores(scores).items()}
    assert set(found) == set(names[:8])
    for name in names[:8]:
        label = np.asarray(Image.open(blobs / "masks" / f"{name}.png")) > 127
        assert found[name] == pytest.approx(dice(masks[name] == 1, label), abs=0.01)
    worse = mean_dice(server, blobs, names[:8])
    status, told = server.train(max_epochs=10, batch_size=2)
    assert status == "DONE", told
    assert mean_dice(server, blobs, names[:8]) > worse + 0.1
    settings = json.loads((server.ckpt_dir / "model.json").read_text())
    parts = {Path(name).stem: image["part"] for name, image in settings["images"].items()}
    assert set(parts) == set(names[:8]) and set(parts.values()) == {"train", "test"} and settings["protocol"] == "paper"
    assert (server.ckpt_dir / "model.previous.pt").is_file()
    assert server.infer(names[0]).status_code == 200


@pytest.mark.battery
def test_a_training_that_ruins_the_model_leaves_it_as_it_is(server, blobs, masks, tmp_path):
    put_labels(server, blobs, sorted(masks)[:8], tmp_path)
    before = {path.name: path.read_bytes() for path in server.ckpt_dir.glob("model*")}
    status, told = server.train(max_epochs=1, learning_rate=1.0)
    assert status == "DONE", told
    assert {path.name: path.read_bytes() for path in server.ckpt_dir.glob("model*")} == before


@pytest.mark.parametrize(
    "knobs, told",
    [
        ({"learning_rate": "$__import__('pathlib').Path('code_ran').touch()"}, 'learning_rate is "$__import__'),
        ({"max_epochs": "@batch_size"}, "max_epochs is '@batch_size'; it must be a number"),
        ({"spatial_size": [64, "$64"]}, "spatial_size is [64, '$64']; it must be a number"),
        ({"geometry": "$'fit'"}, "geometry is \"$'fit'\"; use one of 'fit', 'native'"),
    ],
)
def test_a_client_sends_numbers_and_no_code(knobs, told, server):
    answer = requests.post(f"{server.url}/train/qtseg", json=knobs, timeout=20)
    assert answer.status_code == 422 and told in answer.json()["detail"]
    assert not list(server.studies.parent.rglob("code_ran"))


def test_masks_come_in_formats_that_keep_them(server, masks):
    for extension in (".jpg", ".xyz"):
        answer = server.infer(sorted(masks)[0], result_extension=extension)
        assert answer.status_code == 422 and f"result_extension is '{extension}'; use one of .png" in answer.text


def _scores(answer: dict[str, Any]) -> dict[str, Any]:
    """Of a scoring method, however the server wraps what it returns."""
    while "dice" in answer and isinstance(answer["dice"], dict):
        answer = answer["dice"]
    return answer
