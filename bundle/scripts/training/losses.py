# SPDX-License-Identifier: Apache-2.0

"""The loss of a training with soft labels, which hold the share of a pixel that each class covers."""

from __future__ import annotations

from typing import Any

from monai.losses import DiceCELoss

__all__ = ["SoftLabelDiceCELoss"]


class SoftLabelDiceCELoss(DiceCELoss):
    """The sum of Dice loss and cross-entropy (paper, section "Loss"), with a Dice loss for soft labels.

    Both losses are smallest where the prediction equals the soft label. The usual Dice loss is not: in a pixel that an
    object covers by half, it is smallest at 0 or 1. This Dice loss (Wang et al. 2023, "Dice semimetric losses") is
    MONAI's with ``soft_label``, which MONAI's ``DiceCELoss`` does not pass on. For labels of zeros and ones both Dice
    losses are the same.

    Args:
        arguments: arguments of :py:class:`monai.losses.DiceCELoss`. The loss takes logits and labels, both
            (B, K, H, W) with K classes.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.dice.soft_label = True
