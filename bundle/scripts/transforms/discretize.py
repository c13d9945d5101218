# SPDX-License-Identifier: Apache-2.0

"""Turn the scores of the classes into label ids, probabilities and entropy."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import torch
from monai.transforms import MapTransform
from torch import Tensor

__all__ = ["ArgMaxd", "Decide", "FULL_SCALE", "label_ids"]

#: the value of a 16-bit map that stands for 1
FULL_SCALE = 65535


class Decide:
    """Choose the class with the highest score at each pixel.

    Args:
        softmax: whether scores are logits; otherwise they are probabilities.
        fine: whether the result also has the probability of each foreground class, and the entropy over all classes.
    """

    def __init__(self, *, softmax: bool, fine: bool = False) -> None:
        self.softmax = softmax
        self.fine = fine

    def __call__(self, scores: Tensor) -> Tensor:
        """
        Args:
            scores: (T, ...), one channel for each class, the background first.

        Returns:
            Label ids (1, ...) uint8. With ``fine``, (1 + T, ...) int32: the label ids, the probabilities of the T - 1
            foreground classes, and the entropy divided by its maximum. Probabilities and entropy are from 0 to
            :py:data:`FULL_SCALE`.
        """
        ids = label_ids(scores)
        if not self.fine:
            return ids
        probabilities = scores.softmax(dim=0) if self.softmax else scores
        entropy = torch.special.entr(probabilities).sum(dim=0, keepdim=True) / math.log(len(scores))
        maps = torch.cat([probabilities[1:], entropy]).clamp(0, 1)
        return torch.cat([ids.int(), (maps * FULL_SCALE).round().int()])


def label_ids(scores: torch.Tensor) -> torch.Tensor:
    """Return the id of the class with the highest score; of equal scores, the lowest id.

    Args:
        scores: (T, ...), one channel for each class; at most 256 classes.

    Returns:
        Label ids (1, ...) uint8.
    """
    return scores.max(dim=0, keepdim=True).indices.to(torch.uint8)


class ArgMaxd(MapTransform):
    """Replace the scores of the classes by the id of the class with the highest score.

    :py:class:`monai.transforms.AsDiscreted` uses ``torch.argmax``. It takes 40 times as long on a CPU if the classes
    are the first axis, as here.

    Args:
        keys: keys of (T, H, W) scores. The result is (1, H, W) int64; of equal scores, the lowest id is chosen.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        output = dict(data)
        for key in self.key_iterator(output):
            output[key] = output[key].max(dim=0, keepdim=True).indices
        return output
