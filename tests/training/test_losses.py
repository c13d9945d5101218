# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss
from torch import Tensor

from scripts.training.losses import SoftLabelDiceCELoss

SETTINGS = {"include_background": False, "softmax": True, "smooth_nr": 1e-6, "smooth_dr": 1e-6}


def as_published(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy and Dice of the foreground by image, written out."""
    cross_entropy = -logits.log_softmax(1).gather(1, label).mean()
    prob, there = logits.softmax(1)[:, 1], (label[:, 0] == 1).float()
    dice = (2 * (prob * there).sum((1, 2)) + 1e-6) / (prob.sum((1, 2)) + there.sum((1, 2)) + 1e-6)
    return cross_entropy + (1 - dice).mean()


@pytest.mark.parametrize("num_classes", [2, 4])
def test_whole_labels_have_the_published_loss(num_classes):
    torch.manual_seed(0)
    logits, label = torch.randn(3, num_classes, 16, 24), torch.randint(num_classes, (3, 1, 16, 24))
    shares = torch.zeros_like(logits).scatter(1, label, 1.0)
    loss = SoftLabelDiceCELoss(**SETTINGS)(logits, shares)
    torch.testing.assert_close(loss, DiceCELoss(to_onehot_y=True, **SETTINGS)(logits, label.float()))
    if num_classes == 2:
        torch.testing.assert_close(loss, as_published(logits, label))


def test_a_prediction_of_the_share_is_the_best():
    share = torch.rand(2, 1, 8, 8) * 0.9 + 0.05
    shares = torch.cat([1 - share, share], 1)

    def loss(offset: float) -> float:
        logits = shares.log() + torch.tensor([0.0, offset]).view(1, 2, 1, 1)
        return SoftLabelDiceCELoss(**SETTINGS)(logits, shares).item()

    assert loss(0) < min(loss(offset) for offset in (-0.3, -0.05, 0.05, 0.3))
    hard = torch.stack([(share[:, 0] < 0.5), (share[:, 0] >= 0.5)], 1).float()
    assert loss(0) < SoftLabelDiceCELoss(**SETTINGS)(20 * hard, shares).item()
