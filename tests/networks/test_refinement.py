# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from awake import wake
from scripts.networks.qtseg import QTSeg
from scripts.networks.refinement import Refinement

SMALL = {"features": 4, "num_heads": 2, "mlp_dim": 16}


@torch.no_grad()
def test_a_refinement_starts_as_none():
    torch.manual_seed(0)
    plain, refined = QTSeg(3, 2, **SMALL).eval(), QTSeg(3, 2, **SMALL, refine=True).eval()
    refined.load_state_dict(plain.state_dict(), strict=False)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(refined(image), plain(image))
    wake(refined)
    assert not torch.equal(refined(image), plain(image))


@torch.no_grad()
def test_a_refinement_looks_at_every_pixel():
    refinement = QTSeg(3, 2, **SMALL, refine=True).eval().refinement
    assert refinement is not None
    refinement.correct.reset_parameters()
    image, logits = torch.rand(1, 3, 48, 48) * 2 - 1, torch.rand(1, 2, 48, 48)
    moved = refinement(*(each.roll((1, 1), dims=(2, 3)) for each in (image, logits)))
    inside = (slice(None), slice(None), slice(8, 40), slice(8, 40))
    # whatever looked at every other pixel would see others now
    torch.testing.assert_close(moved[inside], refinement(image, logits).roll((1, 1), dims=(2, 3))[inside])


@torch.no_grad()
def test_a_correction_is_added_to_logits_of_any_type():
    torch.manual_seed(0)
    refinement, image = Refinement(3, 2, width=4).eval(), torch.rand(2, 3, 8, 12)
    logits = torch.rand(2, 2, 8, 12, dtype=torch.float64)
    refinement.correct.bias.copy_(torch.tensor([1.5, -0.25]))  # the weights are still 0
    corrected = refinement(image, logits)
    assert corrected.dtype == torch.float64
    torch.testing.assert_close(corrected, logits + torch.tensor([1.5, -0.25]).double().reshape(1, 2, 1, 1))


def test_a_width_of_0_is_named():
    with pytest.raises(ValueError, match="width must be at least 1: got 0"):
        Refinement(3, 2, width=0)
