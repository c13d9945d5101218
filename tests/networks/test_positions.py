# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch

from scripts.networks.positions import FourierPositions


def test_positions_depend_on_size_only():
    torch.manual_seed(0)
    positions = FourierPositions(8)
    encoded = positions(torch.zeros(3, 8, 4, 6))
    assert encoded.shape == (1, 24, 8)
    torch.testing.assert_close(encoded, positions(torch.randn(1, 8, 4, 6)))
    x, y = (2 + 0.5) / 6, (1 + 0.5) / 4  # the center of row 1, column 2
    phase = 2 * math.pi * (2 * torch.tensor([x, y]) - 1) @ positions.frequencies
    torch.testing.assert_close(encoded[0, 1 * 6 + 2], torch.cat([phase.sin(), phase.cos()]))
    assert "frequencies" in positions.state_dict()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: FourierPositions(7), "multiple of 2.*got 7; use 8"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "dtype, kept", [(torch.bfloat16, torch.float32), (torch.half, torch.float32), (torch.double, torch.double)]
)
def test_frequencies_are_never_in_half_precision(dtype, kept):
    torch.manual_seed(0)
    positions = FourierPositions(8)
    before = positions.frequencies.clone()
    positions.to(dtype)
    assert positions.frequencies.dtype == kept and torch.equal(positions.frequencies, before.to(kept))
    assert positions(torch.zeros(1, 8, 2, 2, dtype=dtype)).dtype == dtype
