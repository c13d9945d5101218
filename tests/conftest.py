# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sqlalchemy.engine import make_url

from images import write_blobs
from scripts.tracking import mlflow_setup
from workflows import BUNDLE, train_small

# networks and images are small here: a second thread gains nothing and waits for a busy machine
torch.set_num_threads(1)


#: names that modules have whose tests train, or start processes: these take most of the time
_LONG = {"subprocess", "run", "train_small", "run_forked", "run_job", "cut_off"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long modules, so that at the end no worker waits for another."""
    items.sort(key=lambda item: _LONG.isdisjoint(vars(item.getparent(pytest.Module).obj)))  # type: ignore[union-attr]


@pytest.fixture(scope="session", autouse=True)
def copied_databases(tmp_path_factory) -> Iterator[Callable[[str], None]]:
    """MLflow takes seconds to create a database; here it creates one, and all others are its copies."""
    create = mlflow_setup._create_database
    template = tmp_path_factory.mktemp("database") / "mlruns.db"

    def copy(tracking_uri: str) -> None:
        if not template.exists():
            create(mlflow_setup.sqlite_uri(template))
        path = Path(make_url(tracking_uri).database or "")
        if not path.exists() and path.parent.is_dir():
            shutil.copy(template, path)

    mlflow_setup._create_database = copy
    yield create
    mlflow_setup._create_database = create


@pytest.fixture(scope="session")
def blobs(tmp_path_factory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("own data") / "blöbs", 11)


@pytest.fixture(scope="session")
def trained(blobs, tmp_path_factory) -> SimpleNamespace:
    """A model trained for three epochs on small images, with everything that its run has written."""
    folder = tmp_path_factory.mktemp("trained model")
    train_small(folder, blobs, max_epochs=3, val_interval=2)
    return SimpleNamespace(
        ckpt_dir=folder / "models",
        output_dir=folder / "eval",
        settings=json.loads((folder / "models" / "model.json").read_text()),
        bundle_root=BUNDLE,
    )
