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

"""What the processes of one training share."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["share_statistics"]


def share_statistics(network: nn.Module, device: torch.device) -> nn.Module:
    """Let batch normalization take its statistics over the batches of all processes, as one process would.

    PyTorch can between GPUs only. On a CPU each process keeps to the statistics of its own batch.

    Args:
        network: to be trained; its layers are replaced, its state keeps its names.
        device: that it is trained on.

    Returns:
        The same network.
    """
    return nn.SyncBatchNorm.convert_sync_batchnorm(network) if device.type == "cuda" else network
