# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from scripts.common.errors import InputError
from scripts.data.synthetic.drawing import MODALITIES, draw


@pytest.mark.parametrize("modality", MODALITIES)
def test_nuclei_touch(modality):
    drawings = [draw(np.random.default_rng([7, i]), modality) for i in range(4)]
    for drawing in drawings:
        assert 0.05 < drawing.mask.mean() < 0.6
    assert sum(label(drawing.mask)[1] for drawing in drawings) < 0.8 * sum(drawing.num_nuclei for drawing in drawings)


def test_unknown_modality():
    with pytest.raises(InputError, match="'xray'"):
        draw(np.random.default_rng(0), "xray")
