# SPDX-License-Identifier: Apache-2.0

"""The choice of a batch size that fits into memory, before the first step of a training could fail."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import ignite.distributed as idist
import psutil
import torch
from torch import Tensor, nn

from ..data.survey import Facts
from ..networks.precision import DTYPES

__all__ = ["fit_batch_size", "free_bytes", "kept_bytes", "pixels_per_image"]

# A backward pass also holds gradients of features. It was measured to need 10 to 30 % more memory than the tensors that
# the forward pass keeps.
_PEAK = 1.3
# The weights, their gradients and the two averages of the optimizer each take the memory of the weights.
_COPIES = 4
# A pixel of a label's channel has four float32 copies: as loaded, on the device, with the background, and in the loss.
# _PEAK covers two classes.
_LABEL_BYTES = 16
_TRIAL = (2, 3)  # numbers of images; batch normalization needs more than one value for each channel

_logger = logging.getLogger("qtseg")


def fit_batch_size(
    batch_size: int,
    *,
    network: nn.Module,
    in_channels: int,
    spatial_size: tuple[int, int],
    device: torch.device,
    precision: str,
    cached_pixels: float = 0,
    label_channels: int = 1,
    num_classes: int = 2,
) -> int:
    """Halve the batch size until a training step fits into the free memory. A smaller batch size is logged.

    The memory for an image is measured. Two images pass through a copy of the network, then three images, and the bytes
    are counted that the forward pass keeps for the gradients. Processes that train together all use the smallest batch
    size among them.

    Args:
        batch_size: largest batch size, as the user has set it.
        network: network to train. It is not changed.
        in_channels: number of channels of the images.
        spatial_size: (H, W) of the images in pixels.
        device: device of the training.
        precision: precision of the training, one of ``DTYPES``.
        cached_pixels: number of pixels of all images that a process will cache in the memory of the host. A channel of
            a pixel takes one byte.
        label_channels: number of channels of the label of a cached image, which take one byte too.
        num_classes: number of classes. The labels of a step have one channel for each class.

    Returns:
        The batch size to train with, at least 1. A value that is no batch size is returned as it is, because
        ``check_knobs`` refuses it later.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        return batch_size
    trial = copy.deepcopy(network).to(device).train()
    with torch.autocast(device.type, DTYPES[precision], enabled=precision != "float32"):
        few, more = (kept_bytes(trial, torch.zeros(n, in_channels, *spatial_size, device=device)) for n in _TRIAL)
    del trial
    if device.type == "cuda":
        torch.cuda.empty_cache()  # else memory that PyTorch keeps after the trial would not count as free
    weights = sum(parameter.nbytes for parameter in network.parameters())
    per_image = _PEAK * (more - few)  # copies of weights are in both and cancel out
    per_image += _LABEL_BYTES * (num_classes - 2) * math.prod(spatial_size)
    room = float(free_bytes(device))
    if device.type == "cpu":
        cache = cached_pixels * (in_channels + label_channels)
        room = room / idist.get_nproc_per_node() - cache
    room -= _COPIES * weights

    fitting = batch_size
    while fitting > 1 and fitting * per_image > room:
        fitting //= 2
    fitting = int(idist.all_reduce(fitting, op="MIN"))
    if fitting < batch_size and idist.get_rank() == 0:
        height, width = spatial_size
        need, free = batch_size * per_image / 2**30, max(room, 0) / 2**30
        _logger.info(
            f"memory:   batch_size {batch_size} at {height} x {width} needs about {need:.1f} GiB and {free:.1f} GiB "
            f"are free, so each step takes {fitting}; a smaller spatial_size leaves room for more"
        )
    return fitting


def pixels_per_image(facts: Sequence[Facts], fitted: tuple[int, int] | None) -> float:
    """Return the mean number of pixels that an image of a dataset has in memory.

    Args:
        facts: facts about every image, from :py:func:`..data.survey.survey_images`.
        fitted: (H, W) in pixels that images are fitted to, or None if they keep their size.
    """
    sizes = [fitted] if fitted else [image.size for image in facts if image.problem is None]
    return sum(map(math.prod, sizes)) / max(1, len(sizes))


def kept_bytes(network: nn.Module, images: Tensor) -> int:
    """Count the memory of the tensors that a forward pass keeps for the gradients.

    Args:
        network: network in training mode.
        images: (B, C, H, W) on the device of the network.

    Returns:
        The number of bytes. Each tensor is counted once, and weights are among the tensors.
    """
    saved: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.detach()  # held, so that no other tensor gets its address
        return tensor.detach()  # a graph that holds its own results would never be freed

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        network(images)
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a device in bytes. For the CPU, it is within the limit of the container, if any.

    Args:
        device: a GPU or the CPU.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    limit, used, details = (Path("/sys/fs/cgroup", f"memory.{name}") for name in ("max", "current", "stat"))
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        stat = dict(line.split() for line in details.read_text().splitlines()) if details.is_file() else {}
        files = int(stat.get("inactive_file", 0))  # cached content of files, which the system drops if memory is needed
        free = min(free, int(limit.read_text()) - int(used.read_text()) + files)
    return free
