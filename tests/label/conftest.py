# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.util
import shutil
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from scripts.tracking import mlflow_setup
from servers import Server, serve_bundle
from workflows import BUNDLE, run


@pytest.fixture(scope="session")
def masks(trained, blobs, tmp_path_factory) -> dict[str, np.ndarray]:
    """What inference of the bundle says, by the image's name without suffix."""
    folder = tmp_path_factory.mktemp("masks")
    run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(blobs), output_dir=str(folder))
    return {path.stem: np.asarray(Image.open(path)) for path in folder.glob("*.png")}


@pytest.fixture(scope="session")
def server(trained, blobs, tmp_path_factory) -> Iterator[Server]:
    """The one server of a trained model. A test leaves images, labels and the model as they were."""
    folder = tmp_path_factory.mktemp("label")
    ckpt_dir = shutil.copytree(trained.ckpt_dir, folder / "models")
    (folder / "eval").mkdir()
    mlflow_setup._create_database(mlflow_setup.sqlite_uri(folder / "eval" / "mlruns.db"))  # see copied_databases
    with serve_bundle(folder, blobs / "images", ckpt_dir) as server:
        yield server


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
