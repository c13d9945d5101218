# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""From the scores of the classes to what is kept of them: label ids, and how sure they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .transforms import label_ids

__all__ = ["FULL_SCALE", "Decide"]

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
