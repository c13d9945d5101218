# SPDX-License-Identifier: Apache-2.0

"""Test-time augmentation: a network sees each image in several ways, and what it finds is averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer
from torch import Tensor

from ..common.errors import InputError
from ..common.limits import divisible

__all__ = ["AugmentedInferer"]

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))  # axes of (B, C, H, W)
_WAYS = {"flips": (1.0,), "flips_and_scales": (0.75, 1.0, 1.25)}  # names and scales


class AugmentedInferer(Inferer):
    """Run another inferer on a network's mean over flipped, and if wished for scaled, images.

    :py:class:`monai.data.TestTimeAugmentation` draws random transforms, needs a whole pass of the data for each image,
    and gives no scores to blend.

    Args:
        inferer: what is run.
        tta: "flips": as it is, flipped by rows, by columns and by both. "flips_and_scales": those, at 0.75, 1 and 1.25
            times the size. None: as it is.

    Raises:
        InputError: if ``tta`` is none of these.
    """

    def __init__(self, inferer: Inferer, tta: str | None) -> None:
        super().__init__()
        if tta is not None and tta not in _WAYS:
            raise InputError(f"tta is {tta!r}; use one of {', '.join(map(repr, _WAYS))}, or leave it out")
        self.inferer = inferer
        self.scales = None if tta is None else _WAYS[tta]

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Infer from ``inputs`` by ``network``; the other arguments go on to the inferer.

        Returns:
            What the inferer returns; with augmentation, scores are logarithms of mean probabilities.
        """
        scales = self.scales
        if scales is None:
            return self.inferer(inputs, network, *args, **kwargs)
        return self.inferer(inputs, lambda x: _mean(network, x, scales), *args, **kwargs)


def _mean(network: Callable[[Tensor], Tensor], image: Tensor, scales: tuple[float, ...]) -> Tensor:
    """Logarithm of the mean probability over all ways to see (B, C, H, W)."""
    size = image.shape[2:]
    total: Tensor | float = 0.0
    for scale in scales:
        scaled = image
        if scale != 1:
            target = [divisible(side * scale) for side in size]
            scaled = F.interpolate(image, target, mode="bilinear", antialias=True)
        for axes in _FLIPS:
            probabilities = network(scaled.flip(axes)).float().softmax(dim=1).flip(axes)
            if scale != 1:
                probabilities = F.interpolate(probabilities, size, mode="bilinear", antialias=True)
            total = total + probabilities
    mean = total / (len(scales) * len(_FLIPS))
    assert isinstance(mean, Tensor)  # there is at least one scale
    return mean.clamp_min(torch.finfo(torch.float32).tiny).log()
