# SPDX-License-Identifier: Apache-2.0

"""Networks in which no part is hidden by a weight that starts at 0."""

from __future__ import annotations

import torch

from scripts.networks.qtseg import QTSeg


def wake(network: QTSeg) -> None:
    """Set what starts at 0, which would hide a part of the network."""
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.constant_(parameter, 0.5)
    if network.refinement is not None:
        network.refinement.correct.reset_parameters()


def trained_on_noise() -> QTSeg:
    """A small network in evaluation mode, whose batch normalization has seen batches."""
    torch.manual_seed(0)
    network = QTSeg(3, 2, features=8, num_heads=2, mlp_dim=32, depths=(1, 1, 1), refine=True)
    wake(network)
    for _ in range(3):
        network(torch.rand(4, 3, 64, 64) * 2 - 1)
    return network.eval()
