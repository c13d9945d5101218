# SPDX-License-Identifier: Apache-2.0

"""Find a batch size that fits into memory before the first step, rather than fail in it."""

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

# On top of what a forward pass keeps for the gradients come the gradients on their way: 10 to 30 % were measured.
_PEAK = 1.3
# Weights, their gradients and the optimizer's two averages.
_COPIES = 4
# A float32 channel of a label as it comes, moved, beside the background, and in the loss; two classes are in the peak.
_LABEL_BYTES = 16
_TRIAL = (2, 3)  # images; batch normalization needs more than one value a channel

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
    """Halve the batch size until a training step fits into the memory that is free; logged where that changes it.

    Two images pass a copy of the network, then three, and what is kept for their gradients is counted. Processes that
    train together take the smallest size that one of them finds.

    Args:
        batch_size: what is wished for.
        network: the network to be trained; it stays as it is.
        in_channels: channels of the images.
        spatial_size: (H, W) of the images in pixels.
        device: where the training will run.
        precision: one of ``DTYPES``.
        cached_pixels: of the images that each process will still cache, 8-bit, in the memory of the host.
        label_channels: of each of their labels, 8-bit too.
        num_classes: of the labels of a step, which have a channel for each.

    Returns:
        The batch size to train with, at least 1; what is no batch size at all is handed on, for ``check_knobs``.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        return batch_size
    trial = copy.deepcopy(network).to(device).train()
    with torch.autocast(device.type, DTYPES[precision], enabled=precision != "float32"):
        few, more = (kept_bytes(trial, torch.zeros(n, in_channels, *spatial_size, device=device)) for n in _TRIAL)
    del trial
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what PyTorch keeps of the trial counts as taken
    weights = sum(parameter.nbytes for parameter in network.parameters())
    per_image = _PEAK * (more - few)  # copies of weights are in both
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
    """How many pixels an image of a dataset has in memory, on average.

    Args:
        facts: of every image, from :py:func:`..data.survey.survey_images`.
        fitted: (H, W) that images are fitted to; None where they keep their size.
    """
    sizes = [fitted] if fitted else [each.size for each in facts if each.problem is None]
    return sum(map(math.prod, sizes)) / max(1, len(sizes))


def kept_bytes(network: nn.Module, images: Tensor) -> int:
    """Count what a forward pass keeps in memory for the gradients.

    Args:
        network: in training mode.
        images: (B, C, H, W), on the network's device.

    Returns:
        Bytes, each tensor counted once; weights that are kept are among them.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()  # held, so that no other takes its address
        return tensor.detach()  # a graph that holds its own results is never freed

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def free_bytes(device: torch.device) -> int:
    """How much memory a device has free, in bytes; for the CPU within the limit of the container, if there is one."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    limit, used, details = (Path("/sys/fs/cgroup", f"memory.{name}") for name in ("max", "current", "stat"))
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        stat = dict(line.split() for line in details.read_text().splitlines()) if details.is_file() else {}
        files = int(stat.get("inactive_file", 0))  # read before and kept while nobody needs the room
        free = min(free, int(limit.read_text()) - int(used.read_text()) + files)
    return free
