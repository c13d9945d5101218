# SPDX-License-Identifier: Apache-2.0


from __future__ import annotations

import pytest
import torch

from scripts.transforms.soft_labels import FULL_SHARE, ClassShares, ClassSharesd, SharesToIdsd
from scripts.transforms.spatial import Fit


def discs(side: int, radius: float) -> torch.Tensor:
    """(1, side, side) ids: a disc of class 1, and below it one of class 2."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    ids = torch.zeros(1, side, side, dtype=torch.uint8)
    for number, row in ((1, 0.3), (2, 0.7)):
        ids[0][(rows - row * side) ** 2 + (columns - 0.4 * side) ** 2 < radius**2] = number
    return ids


def center(shares: torch.Tensor, scale: float) -> torch.Tensor:
    """(K - 1, 2) rows and columns of the classes' centers, in pixels of the unfitted image."""
    axes = (scale * (torch.arange(side) + 0.5) - 0.5 for side in shares.shape[1:])
    rows, columns = torch.meshgrid(*axes, indexing="ij")
    total = shares.double().sum((1, 2))
    return torch.stack([(shares * axis).sum((1, 2)) / total for axis in (rows, columns)], dim=1)


@pytest.mark.parametrize("side, fitted", [(512, 64), (500, 96), (64, 96)], ids=str)
def test_shares_stay_where_the_label_was(side, fitted):
    ids = discs(side, side / 10)
    whole = ClassShares(3)(ids)
    assert whole.dtype == torch.uint8 and whole.shape == (2, side, side) and set(whole.unique().tolist()) == {0, 255}
    assert torch.equal(whole == FULL_SHARE, torch.cat([ids == 1, ids == 2]))
    shares = ClassSharesd("label", 3, (fitted, fitted))({"label": ids})["label"]
    assert shares.dtype == torch.uint8 and shares.shape == (2, fitted, fitted)
    scale = side / fitted
    shift = (center(shares, scale) - center(whole, 1)).abs().max().item()
    assert shift < 0.2
    assert shares.sum((1, 2)) * scale**2 == pytest.approx(whole.sum((1, 2)), rel=0.01)
    nearest = ClassShares(3)(Fit((fitted, fitted), mode="nearest")(ids))
    moved = (center(nearest, scale) - center(whole, 1)).abs().max().item()
    assert moved > 5 * shift and moved > 0.15  # what shares are there to mend


def test_the_largest_share_is_chosen():
    shares = torch.tensor([[0, 60, 130, 0, 90], [0, 60, 125, 255, 80]], dtype=torch.uint8)[:, None]
    chosen = SharesToIdsd("label")({"label": shares})["label"]
    assert chosen.dtype == torch.uint8 and chosen.tolist() == [[[0, 0, 1, 2, 1]]]
    ids = discs(64, 12)
    assert torch.equal(SharesToIdsd("label")({"label": ClassShares(3)(ids)})["label"], ids)
