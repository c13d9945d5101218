# SPDX-License-Identifier: Apache-2.0

"""What the processes of one training share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ignite.distributed as idist
import torch
from torch import nn

from .errors import InputError

__all__ = ["check_processes", "share_statistics"]


def share_statistics(network: nn.Module, device: torch.device) -> nn.Module:
    """Let batch normalization compute its statistics over the batches of all processes, as one process would.

    PyTorch can do so between GPUs only. On a CPU each process uses the statistics of its own batch.

    Args:
        network: network to train. Its layers are replaced, and the names in its state dict stay the same.
        device: device that the network is trained on.

    Returns:
        The same network.
    """
    return nn.SyncBatchNorm.convert_sync_batchnorm(network) if device.type == "cuda" else network


def check_processes(images: Sequence[Any], purpose: str) -> None:
    """Check that each process of a job has at least one image, as MONAI's sampler requires.

    Args:
        images: images that the processes share.
        purpose: what the images are used for, such as "to choose the epoch on", for the message.

    Raises:
        InputError: if there are more processes than images.
    """
    processes = idist.get_world_size()
    if len(images) < processes:
        raise InputError(
            f"{processes} processes share {len(images)} image(s) {purpose}; start {len(images)} processes or fewer"
        )
