# SPDX-License-Identifier: Apache-2.0

"""Random numbers that follow from the seed, the epoch and the image alone.

However many workers load images, and wherever a training was cut off and resumed, each image is met in the same order
and each change of it is drawn the same: no random state has to be kept from one step to the next.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.utils import manual_seed
from monai.data import DistributedSampler
from monai.transforms import Compose
from torch.utils.data import Dataset

__all__ = ["EpochSampler", "SeedSteps", "SeededDataset", "derived_seed", "use_deterministic_algorithms"]


def derived_seed(*parts: int | str) -> int:
    """A seed of 32 bits that follows from others.

    Args:
        parts: what it depends on.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


class SeededDataset(Dataset):
    """Another dataset, whose random transforms are seeded anew for each image and epoch.

    Args:
        dataset: with ``transform``, and items of one dictionary or several.
        seed: of the training.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        """
        Args:
            place: number of the epoch times the number of images, plus that of the image: of :py:class:`EpochSampler`.

        Returns:
            The dataset's item, with ``"index"``, the number of the image.
        """
        epoch, index = divmod(place, len(self.dataset))
        transform: Compose = self.dataset.transform
        transform.set_random_state(derived_seed("item", self.seed, epoch, index))
        item: Mapping[str, Any] | Sequence[Mapping[str, Any]] = self.dataset[index]
        return {**item, "index": index} if isinstance(item, Mapping) else [{**each, "index": index} for each in item]


class EpochSampler(DistributedSampler):
    """MONAI's sampler, for one process too, which tells the dataset the epoch with each index.

    Args:
        dataset: whose images are to be shuffled.
        seed: of the training.
        even_divisible: as of MONAI's.
        drop_last: leave out what does not divide by the processes, as the loader leaves out what does not fill a batch;
            several processes then train on the batches that one would, shared.
    """

    def __init__(self, dataset: Any, *, seed: int, even_divisible: bool = True, drop_last: bool = False) -> None:
        super().__init__(
            dataset,
            even_divisible=even_divisible,
            drop_last=drop_last,
            num_replicas=idist.get_world_size(),
            rank=idist.get_rank(),
            shuffle=True,
            seed=derived_seed("order", seed) >> 1,  # to which PyTorch adds the epoch
        )
        self.num_images = len(dataset)
        self.start = 0

    def skip(self, count: int) -> None:
        """Leave out the first images of the next epoch, which a training that goes on has met.

        Args:
            count: number of images of this process.
        """
        self.start = count

    def __iter__(self) -> Iterator[int]:
        start, self.start = self.start, 0
        first = self.epoch * self.num_images
        return (first + index for index in islice(super().__iter__(), start, None))


class SeedSteps:
    """Seed the generators of PyTorch, NumPy and Python before each training step, which draws the changes of a batch.

    Args:
        seed: of the training.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Register with a trainer.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        manual_seed(derived_seed("step", self.seed, engine.state.iteration, idist.get_rank()))


def use_deterministic_algorithms(deterministic: bool) -> None:
    """Let PyTorch choose algorithms whose result does not hang on the order in which a GPU's threads come.

    Of an operation that has none PyTorch warns. The cross entropy of images is one: its value may differ in the last
    digit, its gradient does not, and with it the weights. On a CPU all is deterministic anyway.

    Args:
        deterministic: whether to; call it before CUDA is first used.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without, cuBLAS may share a buffer among streams
        torch.use_deterministic_algorithms(True, warn_only=True)
