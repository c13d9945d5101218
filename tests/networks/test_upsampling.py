# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scripts.networks.upsampling import Upsample, to_map, to_parts


@pytest.mark.parametrize("twice", [False, True])
def test_parts_are_laid_out_as_a_map_again(twice):
    side = 4 if twice else 2
    x = torch.rand(2, 3, 5 * side, 7 * side)
    parts = to_parts(x, twice=twice)
    assert parts.shape == (2, 35, *([4] * (1 + twice)), 3)
    assert torch.equal(to_map(parts, torch.zeros(2, 1, 5, 7)), x)


def test_four_parts_of_a_pixel_lie_row_by_row():
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    assert to_parts(x)[0, :, :, 0].tolist()[:2] == [[0, 1, 6, 7], [2, 3, 8, 9]]
    assert to_parts(x)[0, 3, :, 0].tolist() == [12, 13, 18, 19]


@torch.no_grad()
@pytest.mark.parametrize("with_detail", [False, True])
def test_upsampling_is_a_transposed_convolution_a_normalization_and_gelu(with_detail):
    torch.manual_seed(0)
    upsample, x = Upsample(6, 4), torch.rand(2, 6, 3, 5)
    detail = torch.rand(2, 4, 6, 10) if with_detail else None
    finer = upsample.conv(x) if detail is None else upsample.conv(x) + detail
    expected = F.gelu(upsample.norm(finer.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    parts = upsample(x.flatten(2).transpose(1, 2), None if detail is None else to_parts(detail))
    assert parts.shape == (2, 15, 4, 4)
    torch.testing.assert_close(to_map(parts, x), expected)
