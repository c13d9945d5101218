# SPDX-License-Identifier: Apache-2.0

"""Exported models compute what the model does, and say so."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from awake import wake
from scripts.checkpoints.loading import load_trained
from scripts.checkpoints.model_schema import PUBLISHED
from scripts.common.errors import InputError
from scripts.common.files import file_digest
from scripts.export import formats as module
from scripts.export.formats import ImageToMask, export
from scripts.image_io.readers import ImageFileReader
from scripts.networks.qtseg import QTSeg
from scripts.transforms.intensity import MinMax
from workflows import BUNDLE, run, train_small


@pytest.fixture(scope="module")
def network(trained) -> QTSeg:
    network = QTSeg(3, 2)
    load_trained(network, trained.ckpt_dir / "model.pt")
    return network.eval()


def test_torchscript_is_checked_and_needs_no_python_of_ours(trained, network, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="qtseg"):
        (path,) = export(trained.ckpt_dir, tmp_path, ["torchscript"])
    assert "model.ts: logits differ by at most" in caplog.text
    image = torch.rand(2, 3, 64, 32) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(path)(image), network(image), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "form", [{"norm": "group", "detail": True, "refine": False}, {"norm": "batch", "detail": False, "refine": True}]
)
def test_a_model_of_another_form_is_exported_as_it_is(form, tmp_path):
    torch.manual_seed(0)
    network = QTSeg(3, 2, **form).eval()
    wake(network)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    settings = {**PUBLISHED, **form, "spatial_size": [64, 96], "sha256": file_digest(tmp_path / "model.pt")}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    (path,) = export(tmp_path, tmp_path / "export", ["torchscript"])
    image = torch.rand(2, 3, 64, 32) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(path)(image), network(image), atol=1e-4, rtol=0)


@pytest.fixture
def shallow(monkeypatch) -> None:
    """QTSeg with one attention block in a stage: the export of six takes minutes."""
    monkeypatch.setitem(QTSeg.__init__.__kwdefaults__, "depths", (1, 1, 1))


@pytest.fixture(scope="module")
def smallest(blobs, tmp_path_factory) -> Path:
    """A shallow model of images with the smallest side that the network takes, and in ``eval/export`` its ONNX file."""
    folder = tmp_path_factory.mktemp("smallest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(QTSeg.__init__.__kwdefaults__, "depths", (1, 1, 1))
        train_small(folder, blobs, spatial_size=[32, 64], max_epochs=3)
        export(folder / "models", folder / "models" / "eval" / "export", ["onnx_image_to_mask"])
    return folder / "models"


def test_an_onnx_file_takes_images_of_any_supported_size_as_they_are(smallest, shallow):
    network = QTSeg(3, 2)
    load_trained(network, smallest / "model.pt")
    _check_onnx_file(smallest, network.eval())


@pytest.mark.battery
def test_so_does_that_of_the_published_network(trained, network, tmp_path):
    shutil.copy(trained.ckpt_dir / "model.pt", tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**trained.settings, "spatial_size": [32, 64]}))
    export(tmp_path, tmp_path / "eval" / "export", ["onnx_image_to_mask"])
    _check_onnx_file(tmp_path, network)


def _check_onnx_file(smallest: Path, network: QTSeg) -> None:
    path = smallest / "eval" / "export" / "image_to_mask.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 64, 64), (3, 3, 32, 96), (1, 3, 32, 32)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        with torch.inference_mode():
            expected = network(MinMax()(images)).argmax(1, keepdim=True)
        (found,) = session.run(None, {"image": images.numpy()})
        assert found.dtype == np.uint8 and (found == expected.numpy()).mean() >= 0.9999


def test_the_page_on_deployment_shows_how_to_use_it(smallest, shallow, blobs, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(import json.*?)```", (BUNDLE / "docs" / "deploy.md").read_text(), re.DOTALL)
    shutil.copytree(smallest / "eval", tmp_path / "eval")
    monkeypatch.chdir(tmp_path)
    for path in sorted((blobs / "images").glob("*.png"))[:3]:
        shutil.copy(path, tmp_path / "image.png")
        exec(code, {})
        run("inference", ckpt_dir=str(smallest), dataset_dir="image.png", output_dir="ours")
        found, expected = (np.asarray(Image.open(name)) for name in ("mask.png", "ours/image.png"))
        assert found.shape == expected.shape and (found == expected).mean() > 0.9  # of a ragged mask


def test_colors_are_converted_as_the_reader_does(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    converted = ImageFileReader(color_space="YCrCb").get_data([str(tmp_path / "a.png")])[0]
    seen = []
    watching = ImageToMask(torch.nn.Identity(), "YCrCb")
    watching.normalize = lambda values: seen.append(values) or values  # type: ignore[assignment]
    watching(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert np.abs(seen[0][0].permute(1, 2, 0).numpy() - converted).max() <= 1  # rounding of halves


def test_a_model_is_packed_in_half_of_its_size(trained, blobs, tmp_path):
    (path,) = export(trained.ckpt_dir, tmp_path, ["zip"], half=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    packed = tmp_path / "qtseg" / "models"
    size, before = ((folder / "model.pt").stat().st_size for folder in (packed, trained.ckpt_dir))
    assert size < 0.55 * before
    common = {"dataset_dir": str(blobs / "images"), "precision": "float32"}
    for name, folder in (("whole", trained.ckpt_dir), ("half", packed)):
        run("inference", ckpt_dir=str(folder), output_dir=str(tmp_path / name), **common)
    masks = [
        np.concatenate([np.asarray(Image.open(file)).ravel() for file in sorted((tmp_path / name).glob("*.png"))])
        for name in ("whole", "half")
    ]
    assert masks[0].any() and (masks[0] == masks[1]).mean() > 0.999


def test_a_model_with_weights_beyond_half_precision_is_not_halved(tmp_path):
    network = QTSeg(3, 2)
    with torch.no_grad():
        network.decoder.tokens[0, 0] = 1e5
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="has values in .decoder.tokens. too large for half precision; leave out"):
        export(tmp_path, tmp_path, ["zip"], half=True)


def test_what_differs_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CLOSE", -1.0)
    with pytest.raises(InputError, match="model.ts gives logits that differ by up to .* from PyTorch's; do not use it"):
        export(trained.ckpt_dir, tmp_path, ["torchscript"])
    with pytest.raises(InputError, match="formats has 'tensorrt'; use some of torchscript, onnx"):
        export(trained.ckpt_dir, tmp_path, ["tensorrt"])
    with pytest.raises(InputError, match="--half is for the zip only, and formats are torchscript; add zip"):
        export(trained.ckpt_dir, tmp_path, ["torchscript"], half=True)
