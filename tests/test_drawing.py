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
from scipy.ndimage import label

from scripts.drawing import MODALITIES, draw
from scripts.errors import InputError


@pytest.mark.parametrize("modality", MODALITIES)
def test_nuclei_touch(modality):
    drawings = [draw(np.random.default_rng([7, i]), modality) for i in range(4)]
    for drawing in drawings:
        assert 0.05 < drawing.mask.mean() < 0.6
    assert sum(label(drawing.mask)[1] for drawing in drawings) < 0.8 * sum(drawing.num_nuclei for drawing in drawings)


def test_unknown_modality():
    with pytest.raises(InputError, match="'xray'"):
        draw(np.random.default_rng(0), "xray")
