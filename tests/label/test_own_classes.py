# SPDX-License-Identifier: Apache-2.0

"""The MONAI Label app without a model, until the first training. Runs where MONAI Label is installed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from skimage.measure import find_contours

from servers import asap, dice, serve_bundle

pytest.importorskip("monailabel")


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
