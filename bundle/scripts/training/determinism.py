# SPDX-License-Identifier: Apache-2.0

"""Random numbers that depend only on the seed, the epoch and the image.

The order of the images and the random changes of an image are always the same. They depend neither on the number of
workers that load images nor on where a training was cut off and resumed. So no random state has to be saved.
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
    """Compute a seed of 32 bits from other values.

    Args:
        parts: values that the seed depends on.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


class SeededDataset(Dataset):
    """A dataset that seeds the random transforms of another dataset anew for each image and epoch.

    Args:
        dataset: dataset with an attribute ``transform``. An item is a dictionary or a list of dictionaries.
        seed: seed of the training.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        """Load an image.

        Args:
            place: number from :py:class:`EpochSampler`: the epoch times the number of images, plus the index of the
                image.

        Returns:
            The item of the dataset. Each dictionary of it also holds ``"index"``, the index of the image.
        """
        epoch, index = divmod(place, len(self.dataset))
        transform: Compose = self.dataset.transform
        transform.set_random_state(derived_seed("item", self.seed, epoch, index))
        item: Mapping[str, Any] | Sequence[Mapping[str, Any]] = self.dataset[index]
        return {**item, "index": index} if isinstance(item, Mapping) else [{**crop, "index": index} for crop in item]


class EpochSampler(DistributedSampler):
    """MONAI's sampler for one or several processes, whose numbers also hold the epoch for :py:class:`SeededDataset`.

    Args:
        dataset: dataset whose images are shuffled.
        seed: seed of the training.
        even_divisible: whether all processes get the same number of images, as in MONAI's sampler.
        drop_last: whether to leave out the last images if the number of images cannot be divided by the number of
            processes. The loader does the same with images that do not fill a batch. Several processes together then
            train on the same batches as one process would.
    """

    def __init__(self, dataset: Any, *, seed: int, even_divisible: bool = True, drop_last: bool = False) -> None:
        super().__init__(
            dataset,
            even_divisible=even_divisible,
            drop_last=drop_last,
            num_replicas=idist.get_world_size(),
            rank=idist.get_rank(),
            shuffle=True,
            seed=derived_seed("order", seed) >> 1,  # halved, because PyTorch adds the epoch to it
        )
        self.num_images = len(dataset)
        self.start = 0

    def skip(self, count: int) -> None:
        """Leave out the first images of the next epoch, because a resumed training has already used them.

        Args:
            count: number of images that this process leaves out.
        """
        self.start = count

    def __iter__(self) -> Iterator[int]:
        start, self.start = self.start, 0
        first = self.epoch * self.num_images
        return (first + index for index in islice(super().__iter__(), start, None))


class SeedSteps:
    """Seed the generators of PyTorch, NumPy and Python before each training step.

    The changes that augment a batch are drawn from these generators within the step.

    Args:
        seed: seed of the training.
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
    """Let PyTorch use algorithms whose results do not depend on the order in which the threads of a GPU run.

    PyTorch warns of an operation that has no such algorithm. The cross entropy of images is one. Its value may differ
    in the last digit, but its gradient does not, and so the weights do not differ either. On a CPU all operations are
    deterministic anyway. Call this function before CUDA is first used.

    Args:
        deterministic: whether to use such algorithms. False changes nothing.
    """
    if deterministic:
        # Without this setting cuBLAS may share a buffer among streams.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
