# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.networks.decoder import DecoderStage, LastStage, MaskDecoder, TokenMLP
from scripts.networks.qtseg import QTSeg
from scripts.networks.upsampling import to_map, to_parts


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: MaskDecoder([4, 8], 2), "3 widths.*got 2"),
        (lambda: MaskDecoder([64, 128, 256], 2, fine_channels=(16,)), "2 widths, at 1/2 and 1/4, or none: got .16,"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_more_pieces_do_not_make_more_gradients_as_large_as_the_whole():
    def count(result: torch.Tensor) -> int:
        with torch.profiler.profile() as profile:
            result.sum().backward()
        calls = {event.key: event.count for event in profile.key_averages()}
        return sum(calls.get(f"aten::{name}_backward", 0) for name in ("slice", "select"))

    x = torch.rand(2, 2, requires_grad=True)
    assert count(x[0] + x[:1, 1]) > 0  # it counts
    network = QTSeg(3, 2, features=4, num_heads=2, mlp_dim=16, depths=(1, 1, 1), detail=True)
    # 1 piece; 16
    assert count(network(torch.rand(1, 3, 128, 128))) == count(network(torch.rand(2, 3, 512, 512)))


def test_initialization_is_as_published():
    torch.manual_seed(0)
    decoder = QTSeg(3, 50).decoder
    assert decoder.tokens.std().item() == pytest.approx(1, abs=0.02)
    gammas = [p for name, p in decoder.named_parameters() if name.endswith("gamma")]
    assert len(gammas) == 6 and all(gamma.item() == 0 for gamma in gammas)


def test_a_stage_hands_on_finer_features_and_narrower_tokens():
    stage = DecoderStage(16, [8], 3, depth=1, num_heads=2, mlp_dim=8)
    tokens, features = stage(torch.rand(2, 3, 16), torch.rand(2, 16, 4, 6))
    assert tokens.shape == (2, 3, 8) and features.shape == (2, 8, 8, 12)


@torch.no_grad()
@pytest.mark.parametrize("fine_channels", [(), (3, 5)])
def test_masks_of_pieces_are_those_of_the_whole(fine_channels):
    torch.manual_seed(0)
    stage = LastStage(8, [4, 6], 2, depth=1, num_heads=2, mlp_dim=8, fine_channels=fine_channels)
    tokens, features = torch.rand(2, 2, 8), torch.rand(2, 8, 24, 32)  # 768 pixels: two pieces an image
    fine = (torch.rand(2, 3, 96, 128), torch.rand(2, 5, 48, 64)) if fine_channels else None
    last, masks = stage(tokens, features, fine)
    attended, sequence = stage._attend(tokens, features)
    details = [] if fine is None else [to_parts(fine[1]), to_parts(fine[0], twice=True)]
    expected = to_map(stage._masks(attended, sequence, details), features)
    assert masks.shape == (2, 2, 96, 128) and last.shape == (2, 2, 6)
    torch.testing.assert_close(masks, expected)


@torch.no_grad()
def test_each_token_has_a_path_of_its_own():
    torch.manual_seed(0)
    stage, tokens = DecoderStage(16, [8], 3, depth=1, num_heads=2, mlp_dim=8), torch.rand(1, 3, 16)
    before = stage._project(tokens)
    stage.token_mlps[1].linear3.bias.add_(2)
    expected = before + torch.tensor([0.0, 2, 0]).reshape(1, 3, 1)
    torch.testing.assert_close(stage._project(tokens), expected)
    assert sum(parameter.numel() for parameter in TokenMLP(16, 8).parameters()) == 2 * (16 * 16 + 16) + 16 * 8 + 8
