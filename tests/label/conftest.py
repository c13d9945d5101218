# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workflows import run


@pytest.fixture(scope="session")
def masks(trained, blobs, tmp_path_factory) -> dict[str, np.ndarray]:
    """What inference of the bundle says, by the image's name without suffix."""
    folder = tmp_path_factory.mktemp("masks")
    run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(blobs), output_dir=str(folder))
    return {path.stem: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
