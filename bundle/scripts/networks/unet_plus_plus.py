# SPDX-License-Identifier: Apache-2.0

"""MONAI's U-Net++ with one output, as every network of the bundle has."""

from __future__ import annotations

from monai.networks.nets import BasicUNetPlusPlus
from torch import Tensor

__all__ = ["UNetPlusPlus"]


class UNetPlusPlus(BasicUNetPlusPlus):
    """:py:class:`monai.networks.nets.BasicUNetPlusPlus` that returns only its finest masks, not a list."""

    def forward(self, x: Tensor) -> Tensor:
        """Segment images (B, in_channels, H, W); returns logits (B, out_channels, H, W)."""
        finest: Tensor = super().forward(x)[0]
        return finest
