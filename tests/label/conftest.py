# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.util
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from skimage.measure import find_contours

from scripts.tracking import mlflow_setup
from servers import Server, asap, serve_bundle
from workflows import BUNDLE, run


@pytest.fixture(scope="session")
def masks(trained, blobs, tmp_path_factory) -> dict[str, np.ndarray]:
    """What inference of the bundle says, by the image's name without suffix."""
    folder = tmp_path_factory.mktemp("masks")
    run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(blobs), output_dir=str(folder))
    return {path.stem: np.asarray(Image.open(path)) for path in folder.glob("*.png")}


@pytest.fixture(scope="session")
def server(trained, blobs, tmp_path_factory) -> Iterator[Server]:
    """The server of a trained model. A test leaves images, labels and the model as they were."""
    folder = tmp_path_factory.mktemp("label")
    ckpt_dir = shutil.copytree(trained.ckpt_dir, folder / "models")
    (folder / "eval").mkdir()
    mlflow_setup._create_database(mlflow_setup.sqlite_uri(folder / "eval" / "mlruns.db"))  # see copied_databases
    with serve_bundle(folder, blobs / "images", ckpt_dir) as server:
        yield server


@pytest.fixture(scope="session")
def own_classes(blobs, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The server of images without a model, and what it answers before and after the first training.

    There are two kinds of objects. One of the labels is polygons that QuPath sends. The images are links to files of
    one name, as DVC and git-annex keep them.
    """
    folder = tmp_path_factory.mktemp("own classes")
    names = sorted(path.stem for path in (blobs / "images").iterdir())[:6]
    with serve_bundle(folder, _linked(blobs, names, folder), folder / "models", out_channels=3) as server:
        before = SimpleNamespace(info=server.info(), answer=server.infer(names[0]))
        for i, name in enumerate(names):
            mask = np.asarray(Image.open(blobs / "masks" / f"{name}.png")) > 127
            height, width = mask.shape
            ids = mask * np.where(np.arange(width) < width // 2, 1, 2).astype(np.uint8)
            path = folder / (f"{name}.png" if i else f"{name}.xml")
            if i:
                Image.fromarray(ids).save(path)
            else:
                path.write_text(asap(find_contours(np.pad(mask, 1))[0][:, ::-1] - 0.5))
            server.put_label(name, path)
        status = server.train(max_epochs=2, spatial_size=64, batch_size=2)
        for name in names:
            server.remove_label(name)
        yield SimpleNamespace(server=server, folder=folder, names=names, before=before, status=status)


def _linked(blobs: Path, names: list[str], folder: Path) -> Path:
    linked = folder / "linked"
    linked.mkdir()
    for i, name in enumerate(names):
        image = next((blobs / "images").glob(f"{name}.*"))
        (folder / f"store {i}").mkdir()
        shutil.copy(image, folder / f"store {i}" / "content")
        (linked / image.name).symlink_to(folder / f"store {i}" / "content")
    return linked


@pytest.fixture(scope="session")
def app() -> ModuleType:
    """The app's module ``main``, imported into this process, where nothing is served."""
    pytest.importorskip("monailabel")
    spec = importlib.util.spec_from_file_location("main_of_label_app", BUNDLE / "label" / "main.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI Label's own imports
        spec.loader.exec_module(module)
    assert "uvicorn" not in sys.modules
    return module
