# SPDX-License-Identifier: Apache-2.0

"""From the scores of the classes to what is kept of them: label ids, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import torch
from monai.transforms import MapTransform
from torch import Tensor

__all__ = ["ArgMaxd", "Decide", "FULL_SCALE", "label_ids"]

#: what stands for 1 in a map of 16 bits
FULL_SCALE = 65535


class Decide:
    """Choose the class of the highest score at each pixel.

    Args:
        softmax: scores are logits; else they are probabilities.
        fine: keep the probability of each foreground class, and the entropy of all, too.
    """

    def __init__(self, *, softmax: bool, fine: bool = False) -> None:
        self.softmax = softmax
        self.fine = fine

    def __call__(self, scores: Tensor) -> Tensor:
        """
        Args:
            scores: (T, ...), one a class, the background first.

        Returns:
            (1, ...) uint8 label ids; or (1 + T, ...) int32: the ids, the probabilities of the T - 1 foreground classes,
            and the entropy as a share of its maximum, both from 0 to :py:data:`FULL_SCALE`.
        """
        ids = label_ids(scores)
        if not self.fine:
            return ids
        probabilities = scores.softmax(dim=0) if self.softmax else scores
        entropy = torch.special.entr(probabilities).sum(dim=0, keepdim=True) / math.log(len(scores))
        maps = torch.cat([probabilities[1:], entropy]).clamp(0, 1)
        return torch.cat([ids.int(), (maps * FULL_SCALE).round().int()])


def label_ids(scores: torch.Tensor) -> torch.Tensor:
    """The id of the class with the highest score, the lowest id where scores are equal.

    Args:
        scores: (T, ...), one a class, at most 256.

    Returns:
        (1, ...) uint8.
    """
    return scores.max(dim=0, keepdim=True).indices.to(torch.uint8)


class ArgMaxd(MapTransform):
    """Replace the scores of the classes by the id of the highest.

    :py:class:`monai.transforms.AsDiscreted` does so by ``torch.argmax``, which takes 40 times as long on a CPU when the
    classes come first, as they do here.

    Args:
        keys: keys of (T, H, W) tensors; the result is (1, H, W), int64, and the lowest id where scores are equal.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        chosen = dict(data)
        for key in self.key_iterator(chosen):
            chosen[key] = chosen[key].max(dim=0, keepdim=True).indices
        return chosen
