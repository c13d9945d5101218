# SPDX-License-Identifier: Apache-2.0

"""The loss of a training whose labels tell what share of a pixel each class has."""

from __future__ import annotations

from typing import Any

from monai.losses import DiceCELoss

__all__ = ["SoftLabelDiceCELoss"]


class SoftLabelDiceCELoss(DiceCELoss):
    """Dice and cross-entropy (paper, section "Loss"), both smallest where the prediction equals a soft label.

    The usual Dice is not: where half of a pixel is object it asks for all or nothing. This one (Wang et al. 2023, "Dice
    semimetric losses") is MONAI's with ``soft_label``, which its sum with cross-entropy does not pass on. For labels of
    zeros and ones both are the same.

    Args:
        arguments: of :py:class:`monai.losses.DiceCELoss`, which takes logits and labels, here both (B, K, H, W).
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.dice.soft_label = True
