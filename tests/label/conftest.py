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
