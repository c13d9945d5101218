# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from golden import filled_release


@pytest.fixture(scope="session")
def release() -> dict[str, torch.Tensor]:
    """The state dict of a published QTSeg in its default setting; tests change copies only."""
    return filled_release()
