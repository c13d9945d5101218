# SPDX-License-Identifier: Apache-2.0

"""The MONAI Label app without a model, until the first training. Runs where MONAI Label is installed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from servers import dice

pytest.importorskip("monailabel")


def test_begins_without_a_model(own_classes, blobs):
    """Two kinds of objects, one of the labels as polygons that QuPath sends."""
    names, folder, server = own_classes.names, own_classes.folder, own_classes.server
    assert not own_classes.before.info["models"] and set(own_classes.before.info["trainers"]) == {"qtseg"}
    answer = own_classes.before.answer
    assert answer.status_code == 422 and "model.pt is not there; train a model first" in answer.json()["detail"]
    status, told = own_classes.status
    assert status == "DONE", told
    settings = json.loads((folder / "models" / "model.json").read_text())
    assert settings["out_channels"] == 3 and settings["spatial_size"] == [64, 64]
    drawn = np.asarray(Image.open(folder / "eval" / "labels_so_far" / "masks" / f"{names[0]}.png"))
    expected = np.asarray(Image.open(blobs / "masks" / f"{names[0]}.png")) > 127
    assert drawn.max() == 2 and dice(drawn == 2, expected) > 0.97
    assert server.info()["models"]["qtseg"]["labels"] == {"class 1": 1, "class 2": 2}
    assert server.infer(names[0]).status_code == 200
