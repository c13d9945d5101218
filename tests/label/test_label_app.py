# SPDX-License-Identifier: Apache-2.0

"""The MONAI Label app, asked over HTTP. Runs where the packages of bundle/label/requirements.txt are installed."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from skimage.draw import disk, polygon2mask
from skimage.measure import find_contours

from scripts.common.errors import InputError
from scripts.inference.inputs import images_to_segment
from servers import Server, dice, mean_dice, put_labels, serve
from workflows import BUNDLE

pytest.importorskip("monailabel")
nib = pytest.importorskip("nibabel")
nrrd = pytest.importorskip("nrrd")


def serve_bundle(folder: Path, images: Path, ckpt_dir: Path, **conf: Any) -> AbstractContextManager[Server]:
    bundle = folder / "bundle"
    for part in ("configs", "scripts", "label"):
        shutil.copytree(BUNDLE / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
    studies = shutil.copytree(images, folder / "studies", symlinks=True)
    conf = {"ckpt_dir": ckpt_dir, "output_dir": folder / "eval", **conf}
    return serve(bundle / "label", studies, ckpt_dir, folder / "log.txt", conf=conf)


@pytest.fixture(scope="module")
def server(trained, blobs, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("label")
    ckpt_dir = shutil.copytree(trained.ckpt_dir, folder / "models")
    with serve_bundle(folder, blobs / "images", ckpt_dir) as server:
        yield server


def test_info(server):
    info = server.info()
    assert set(info["models"]) == {"qtseg"} and info["models"]["qtseg"]["labels"] == {"object": 1}
    assert "spatial_size" not in info["trainers"]["qtseg"]["config"]  # the model has its own
    assert set(info["strategies"]) == {"random", "first", "uncertainty"} and set(info["scoring"]) == {"dice"}


def test_no_web_page_of_another_server_may_ask(server):
    answer = requests.get(f"{server.url}/info/", headers={"Origin": "http://evil.example"}, timeout=20)
    assert not any(name.lower().startswith("access-control") for name in answer.headers)
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert requests.options(f"{server.url}/train/qtseg", headers=asked, timeout=20).status_code == 405


def test_inference_takes_the_images_and_not_the_labels(server, tmp_path):
    label = server.studies / "labels" / "final" / "drawn.png"
    label.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(label)
    found = images_to_segment(server.studies, output_dir=tmp_path)
    label.unlink()
    assert {Path(item["image"]).parent for item in found} == {server.studies}


def test_conf_that_is_not_known_is_told(tmp_path):
    with pytest.raises(AssertionError, match="--conf out_chanels is not known here; use ckpt_dir, out_channels, out"):
        with serve_bundle(tmp_path, tmp_path, tmp_path / "models", out_chanels=3):
            pass


@pytest.mark.parametrize("classes, told", [
    (4, "out_channels is 4, but .*model.pt is a model of 2 classes; give the folder of another model"),
    (0, "out_channels is 0; it must be a whole number of at least 2"),
    ("two", "out_channels is 'two'; it must be a whole number of at least 2"),
])
def test_numbers_of_classes_that_cannot_be_are_told(classes, told, trained, tmp_path):
    with pytest.raises(AssertionError, match=told):
        with serve_bundle(tmp_path, tmp_path, trained.ckpt_dir, out_channels=classes):
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


def test_labels_come_back_are_scored_and_trained_on(server, blobs, masks, tmp_path):
    names = sorted(masks)
    status, told = server.train(max_epochs=1)
    assert status == "ERROR" and "0 image(s) have a final label; label at least 4 before training" in told
    put_labels(server, blobs, names[:8], tmp_path)
    for strategy in ("random", "first", "uncertainty"):
        assert server.next_image(strategy) in names[8:]
    scores = requests.post(f"{server.url}/scoring/dice?run_sync=true", timeout=100).json()
    found = {name: float(value) for name, value in _scores(scores).items()}
    assert set(found) == set(names[:8])
    for name in names[:8]:
        label = np.asarray(Image.open(blobs / "masks" / f"{name}.png")) > 127
        assert found[name] == pytest.approx(dice(masks[name] == 1, label), abs=0.01)
    before = {path.name: path.read_bytes() for path in server.ckpt_dir.glob("model*")}
    status, told = server.train(max_epochs=1, learning_rate=1.0)  # ruins the model
    assert status == "DONE", told
    assert {path.name: path.read_bytes() for path in server.ckpt_dir.glob("model*")} == before  # so all stays
    worse = mean_dice(server, blobs, names[:8])
    status, told = server.train(max_epochs=20, batch_size=2)
    assert status == "DONE", told
    assert mean_dice(server, blobs, names[:8]) > worse + 0.1
    settings = json.loads((server.ckpt_dir / "model.json").read_text())
    parts = {Path(name).stem: image["part"] for name, image in settings["images"].items()}
    assert set(parts) == set(names[:8]) and set(parts.values()) == {"train", "test"} and settings["protocol"] == "paper"
    assert (server.ckpt_dir / "model.previous.pt").is_file()
    assert server.infer(names[0]).status_code == 200


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
    status, details = server.train(**knobs)
    assert status == "ERROR" and told in "\n".join(json.loads(details))
    assert not list(server.studies.parent.rglob("code_ran"))


def test_masks_come_in_formats_that_keep_them(server, masks):
    for extension in (".jpg", ".xyz"):
        answer = server.infer(sorted(masks)[0], result_extension=extension)
        assert answer.status_code == 422 and f"result_extension is '{extension}'; use one of .png" in answer.text


def labels_of(path: Path, image: Path, *ids: int) -> np.ndarray:
    sys.path.insert(0, str(BUNDLE / "label"))
    from qtseg_label.labels import read_label

    return read_label(str(path), str(image), {f"class {number}": number for number in ids})


@pytest.mark.parametrize("shape", [(5, 7), (1, 5), (5, 1), (1, 1)])
def test_labels_of_slicer_for_images_of_any_size(shape, tmp_path):
    Image.new("L", shape[::-1]).save(tmp_path / "a.png")
    ids = np.arange(np.prod(shape), dtype=np.int16).reshape(shape) % 2
    nrrd.write(str(tmp_path / "a.nrrd"), ids.T[..., None])
    np.testing.assert_array_equal(labels_of(tmp_path / "a.nrrd", tmp_path / "a.png", 1), ids)


def broken(path: Path) -> Path:
    (path / "a.nrrd").write_bytes(b"NRRD0004\ntype: nonsense\n\n")
    return path / "a.nrrd"


def with_values(path: Path, *values: int, dtype: str = "int16") -> Path:
    nrrd.write(str(path / "a.nrrd"), np.resize(np.array(values, dtype), (7, 5, 1)))
    return path / "a.nrrd"


def drawn(path: Path, text: str) -> Path:
    (path / "a.xml").write_text(text)
    return path / "a.xml"


@pytest.mark.parametrize(
    "make, ids, message",
    [
        (lambda path: with_values(path, 0, 257), [1], "a.nrrd"),
        (lambda path: with_values(path, 0, -1), [1], "a.nrrd"),
        (lambda path: with_values(path, 0, 2), [1], "a.nrrd"),
        (lambda path: with_values(path, 0, 3), [1, 2], r"a.nrrd has the id\(s\) \[3\], which are no class; its cla"),
        (broken, [1], "a.nrrd cannot be read .* send the label anew"),
        (lambda path: drawn(path, "<a"), [1], "a.xml cannot be read .* send the label anew"),
        (lambda path: drawn(path, asap(np.array([["a", 1.0]]))), [2], "a.xml cannot be read .* send the label anew"),
        (lambda path: drawn(path, asap(np.array([[1.0, 1.0]]))), [1, 3], "a.xml has polygons of 'class 2', which is"),
    ],
)
def test_wrong_labels_are_told(make, ids, message, tmp_path):
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=message):
        labels_of(make(tmp_path), tmp_path / "a.png", *ids)


def test_begins_without_a_model(blobs, tmp_path):
    """Two kinds of objects, one of the labels as polygons that QuPath sends."""
    names = sorted(path.stem for path in (blobs / "images").iterdir())[:6]
    linked = tmp_path / "linked"
    linked.mkdir()
    for i, name in enumerate(names):  # from files of one name, as DVC and git-annex keep them
        image = next((blobs / "images").glob(f"{name}.*"))
        (tmp_path / f"store {i}").mkdir()
        shutil.copy(image, tmp_path / f"store {i}" / "content")
        (linked / image.name).symlink_to(tmp_path / f"store {i}" / "content")
    with serve_bundle(tmp_path, linked, tmp_path / "models", out_channels=3) as server:
        assert not server.info()["models"] and set(server.info()["trainers"]) == {"qtseg"}
        answer = server.infer(names[0])
        assert answer.status_code == 422 and "model.pt is not there; train a model first" in answer.json()["detail"]
        for i, name in enumerate(names):
            mask = np.asarray(Image.open(blobs / "masks" / f"{name}.png")) > 127
            height, width = mask.shape
            ids = mask * np.where(np.arange(width) < width // 2, 1, 2).astype(np.uint8)
            path = tmp_path / (f"{name}.png" if i else f"{name}.xml")
            if i:
                Image.fromarray(ids).save(path)
            else:
                path.write_text(asap(find_contours(np.pad(mask, 1))[0][:, ::-1] - 0.5))
            server.put_label(name, path)
        status, told = server.train(max_epochs=2, spatial_size=64, batch_size=2)
        assert status == "DONE", told
        settings = json.loads((tmp_path / "models" / "model.json").read_text())
        assert settings["out_channels"] == 3 and settings["spatial_size"] == [64, 64]
        drawn = np.asarray(Image.open(tmp_path / "eval" / "labels_so_far" / "masks" / f"{names[0]}.png"))
        expected = np.asarray(Image.open(blobs / "masks" / f"{names[0]}.png")) > 127
        assert drawn.max() == 2 and dice(drawn == 2, expected) > 0.97
        assert server.info()["models"]["qtseg"]["labels"] == {"class 1": 1, "class 2": 2}
        assert server.infer(names[0]).status_code == 200


def asap(corners: np.ndarray) -> str:
    """One polygon of (x, y) in pixels as the second class."""
    points = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(corners))
    polygon = f'<Annotation Type="Polygon" PartOfGroup="class 2"><Coordinates>{points}</Coordinates></Annotation>'
    return f"<ASAP_Annotations><Annotations>{polygon}</Annotations></ASAP_Annotations>"


def _scores(answer: dict[str, Any]) -> dict[str, Any]:
    """Of a scoring method, however the server wraps what it returns."""
    while "dice" in answer and isinstance(answer["dice"], dict):
        answer = answer["dice"]
    return answer
