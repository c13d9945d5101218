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

"""MONAI's U-Net++ with one output, as every network of the bundle has."""

from __future__ import annotations

from monai.networks.nets import BasicUNetPlusPlus
from torch import Tensor

__all__ = ["UNetPlusPlus"]


class UNetPlusPlus(BasicUNetPlusPlus):
    """:py:class:`monai.networks.nets.BasicUNetPlusPlus`, of whose list of masks the finest are taken."""

    def forward(self, x: Tensor) -> Tensor:
        """Segment images (B, in_channels, H, W); returns logits (B, out_channels, H, W)."""
        finest: Tensor = super().forward(x)[0]
        return finest
