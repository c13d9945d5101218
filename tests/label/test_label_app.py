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
"""The MONAI Label app, asked over HTTP. Runs where the packages of bundle/label/requirements.txt are installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests
import torch
from PIL import Image
from skimage.draw import disk, polygon2mask

from workflows import BUNDLE, run

pytest.importorskip("monailabel")
nib = pytest.importorskip("nibabel")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def server(trained, blobs, tmp_path_factory) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("label")
    bundle = folder / "bundle"
    for part in ("configs", "scripts", "label"):
        shutil.copytree(BUNDLE / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
    studies = shutil.copytree(blobs / "images", folder / "studies")
    ckpt_dir = shutil.copytree(trained.ckpt_dir, folder / "models")
    port = free_port()
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(bundle / "label")]
    command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--conf", "ckpt_dir", str(ckpt_dir), "--conf", "output_dir", str(folder / "eval")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(bundle)}
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            begin = time.monotonic()
            while True:
                assert process.poll() is None and time.monotonic() - begin < 120, (folder / "log.txt").read_text()
                try:
                    requests.get(f"{url}/info/", timeout=5)
                    break
                except requests.ConnectionError:
                    time.sleep(0.3)
            yield SimpleNamespace(url=url, studies=studies, ckpt_dir=ckpt_dir, folder=folder)
        finally:
            process.terminate()
            process.wait(20)


def infer(server, image: str, output: str = "image", **params: Any) -> requests.Response:
    form = {"params": json.dumps(params)}
    return requests.post(f"{server.url}/infer/qtseg?image={image}&output={output}", data=form, timeout=60)


def train(server, **knobs: Any) -> tuple[str, str]:
    """Status at the end, and the last lines that were told."""
    requests.post(f"{server.url}/train/qtseg", json=knobs, timeout=20).raise_for_status()
    begin = time.monotonic()
    while time.monotonic() - begin < 200:
        time.sleep(1)
        found = requests.get(f"{server.url}/train/", timeout=20).json()
        if found["status"] in ("DONE", "ERROR"):
            return found["status"], json.dumps(found["details"])
    raise AssertionError(found)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


@pytest.fixture(scope="module")
def masks(server, blobs, tmp_path_factory) -> dict[str, np.ndarray]:
    """What inference of the bundle says, by the image's name without suffix."""
    folder = tmp_path_factory.mktemp("masks")
    run("inference", ckpt_dir=str(server.ckpt_dir), dataset_dir=str(blobs), output_dir=str(folder))
    return {path.stem: np.asarray(Image.open(path)) for path in folder.glob("*.png")}


def test_info(server):
    info = requests.get(f"{server.url}/info/", timeout=20).json()
    assert set(info["models"]) == {"qtseg"} and info["models"]["qtseg"]["labels"] == {"object": 1}
    assert set(info["strategies"]) == {"random", "first", "uncertainty"} and set(info["scoring"]) == {"dice"}


def test_masks_are_those_of_the_bundles_own_inference(server, masks):
    for name, expected in masks.items():
        answer = infer(server, name)
        assert answer.status_code == 200, answer.text
        found = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert found.shape == expected.shape and dice(found == 1, expected == 1) > 0.99


def test_polygons_and_volumes_overlay_the_image(server, masks, tmp_path):
    name = max(masks, key=lambda name: masks[name].mean())
    expected = masks[name] == 1
    assert expected.any()
    (annotation,) = infer(server, name, "json").json()["annotations"]
    (element,) = annotation["annotation"]["elements"]
    drawn = np.zeros(expected.shape, bool)
    for ring in element["contours"]:
        drawn |= polygon2mask(expected.shape, np.array(ring)[:, ::-1] - 0.5)
    assert dice(drawn, expected) > 0.95
    (tmp_path / "a.nii.gz").write_bytes(infer(server, name, result_extension=".nii.gz").content)
    voxels = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    np.testing.assert_array_equal(voxels[..., 0].T == 1, expected)


def test_objects_with_holes_are_polygons_cut_open():
    sys.path.insert(0, str(BUNDLE / "label"))
    from qtseg_label.labels import annotations

    mask = np.zeros((40, 50), np.uint8)
    mask[disk((20, 20), 15)] = 1
    mask[disk((20, 14), 4)] = mask[disk((20, 27), 4)] = 0
    (element,) = annotations(mask, {"object": 1})["elements"]
    (ring,) = element["contours"]
    assert dice(polygon2mask(mask.shape, np.array(ring)[:, ::-1] - 0.5), mask == 1) > 0.98


def test_what_cannot_be_segmented_is_said(server):
    assert infer(server, "none").status_code == 404
    (server.studies / "broken.png").write_bytes(b"no image")
    try:
        time.sleep(2)  # the datastore looks at its folder
        answer = infer(server, "broken")
        assert answer.status_code == 422 and "broken.png is not a PNG, JPEG" in answer.json()["detail"]
    finally:
        (server.studies / "broken.png").unlink()
        time.sleep(2)


def test_many_ask_at_once(server, masks):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda i: infer(server, sorted(masks)[i % len(masks)]).status_code, range(60)))
    assert answers == [200] * 60


def test_labels_come_back_are_scored_and_trained_on(server, blobs, masks, tmp_path):
    names = sorted(masks)
    status, told = train(server, max_epochs=1)
    assert status == "ERROR" and "0 image(s) have a final label; label at least 4 before training" in told
    for i, name in enumerate(names[:8]):
        label = np.asarray(Image.open(blobs / "masks" / f"{name}.png"))
        path = tmp_path / (f"{name}.png" if i % 2 else f"{name}.nii.gz")
        if i % 2:
            Image.fromarray(label).save(path)
        else:  # as 3D Slicer sends it
            nib.save(nib.Nifti1Image((label > 127).astype(np.uint8).T[..., None], np.diag([-1.0, -1, 1, 1])), path)
        with open(path, "rb") as file:
            sent = requests.put(
                f"{server.url}/datastore/label?image={name}&tag=final", files={"label": (path.name, file)}, timeout=20
            )
        assert sent.status_code == 200, sent.text
    for strategy in ("random", "first", "uncertainty"):
        answer = requests.post(f"{server.url}/activelearning/{strategy}", json={}, timeout=60).json()
        assert answer["id"] in names[8:]
    scores = requests.post(f"{server.url}/scoring/dice?run_sync=true", timeout=100).json()
    found = {name: float(value) for name, value in _scores(scores).items()}
    assert set(found) == set(names[:8])
    for name in names[:8]:
        label = np.asarray(Image.open(blobs / "masks" / f"{name}.png")) > 127
        assert found[name] == pytest.approx(dice(masks[name] == 1, label), abs=0.01)
    before = torch.load(server.ckpt_dir / "model.pt", weights_only=True)
    status, told = train(server, max_epochs=1, learning_rate=1.0)  # ruins the model
    assert status == "DONE", told
    after = torch.load(server.ckpt_dir / "model.pt", weights_only=True)
    assert all(torch.equal(before[key], after[key]) for key in before)  # so the one before stays
    status, told = train(server, max_epochs=1)
    assert status == "DONE", told
    settings = json.loads((server.ckpt_dir / "model.json").read_text())
    parts = {Path(name).stem: image["part"] for name, image in settings["images"].items()}
    assert set(parts) == set(names[:8]) and set(parts.values()) == {"train", "test"} and settings["protocol"] == "paper"
    assert (server.ckpt_dir / "model.previous.pt").is_file()
    assert infer(server, names[0]).status_code == 200


def _scores(answer: dict[str, Any]) -> dict[str, Any]:
    """Of a scoring method, however the server wraps what it returns."""
    while "dice" in answer and isinstance(answer["dice"], dict):
        answer = answer["dice"]
    return answer
