# SPDX-License-Identifier: Apache-2.0

"""Test-time augmentation: average the predictions for flipped and scaled versions of an image."""

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
_SCALES = {"flips": (1.0,), "flips_and_scales": (0.75, 1.0, 1.25)}  # factors of height and width, by name


class AugmentedInferer(Inferer):
    """Run another inferer with a network whose predictions are averaged over flipped and scaled images.

    :py:class:`monai.data.TestTimeAugmentation` is not used: it draws random transforms, needs a pass over the data for
    each image, and returns no scores that windows could be blended with.

    Args:
        inferer: the inferer to run.
        tta: "flips" averages over the image and its flips along rows, columns and both. "flips_and_scales" does so at
            0.75, 1 and 1.25 times the size. None does not augment.

    Raises:
        InputError: if ``tta`` is unknown.
    """

    def __init__(self, inferer: Inferer, tta: str | None) -> None:
        super().__init__()
        if tta is not None and tta not in _SCALES:
            raise InputError(f"tta is {tta!r}; use one of {', '.join(map(repr, _SCALES))}, or leave it out")
        self.inferer = inferer
        self.scales = None if tta is None else _SCALES[tta]

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Run ``network`` on ``inputs``; the other arguments are passed to the inferer.

        Args:
            inputs: images (B, C, H, W).
            network: a network that returns logits (B, T, H, W).

        Returns:
            The result of the inferer. With augmentation, scores are logarithms of mean probabilities.
        """
        scales = self.scales
        if scales is None:
            return self.inferer(inputs, network, *args, **kwargs)
        return self.inferer(inputs, lambda x: _mean(network, x, scales), *args, **kwargs)


def _mean(network: Callable[[Tensor], Tensor], image: Tensor, scales: tuple[float, ...]) -> Tensor:
    """Return the logarithm of the mean probability over all flips and scales of ``image`` (B, C, H, W)."""
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
