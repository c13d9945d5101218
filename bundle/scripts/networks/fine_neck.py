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

"""The neck's way down to maps finer than the published network's, for what is a few pixels wide."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import C2f

__all__ = ["FineNeck"]

# Shapes: B batch, H x W image, n base width (``features``).


class FineNeck(nn.Module):
    """Carry meaning down to the encoder's maps at /4 and /2, as its neck does to those at /16 and /8.

    Not in the paper, whose decoder sees nothing finer than /8 and makes each 8 x 8 pixels of a mask out of one vector.

    Args:
        features: base width n of the encoder; the maps stay n and 2n wide.

    Raises:
        ValueError: if ``features`` is below 1 or odd.

    Example::

        neck = FineNeck(features=16)
        maps = torch.zeros(1, 16, 32, 48), torch.zeros(1, 32, 16, 24)
        half, quarter = neck(maps, torch.zeros(1, 64, 8, 12))
        assert half.shape == (1, 16, 32, 48) and quarter.shape == (1, 32, 16, 24)
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        n = features
        self.at_quarter = C2f(4 * n + 2 * n, 2 * n, depth=1, shortcut=False)
        self.at_half = C2f(2 * n + n, n, depth=1, shortcut=False)

    def forward(self, fine: tuple[Tensor, Tensor], s0: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the fine maps with coarser ones.

        Args:
            fine: the encoder's, (B, n, H/2, W/2) and (B, 2n, H/4, W/4).
            s0: the finest map of its neck, (B, 4n, H/8, W/8).

        Returns:
            Maps of the shapes of ``fine``.
        """
        half, quarter = fine
        quarter = self.at_quarter(torch.cat([F.interpolate(s0, scale_factor=2.0), quarter], dim=1))
        half = self.at_half(torch.cat([F.interpolate(quarter, scale_factor=2.0), half], dim=1))
        return half, quarter
