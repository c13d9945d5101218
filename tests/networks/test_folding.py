# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy

import pytest
import torch

from awake import trained_on_noise
from scripts.networks.blocks import ConvNormAct, ConvTransposeNormAct
from scripts.networks.folding import fold_batch_norm


@torch.no_grad()
def test_folding_keeps_the_logits():
    trained = trained_on_noise()
    folded, image = copy.deepcopy(trained), torch.rand(2, 3, 64, 96) * 2 - 1
    fold_batch_norm(folded)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(image), trained(image), atol=1e-4, rtol=1e-4)
    once = {key: value.clone() for key, value in folded.state_dict().items()}
    fold_batch_norm(folded)  # again, as a second evaluation in one process does
    for key, value in folded.state_dict().items():
        assert torch.equal(value, once[key]), key


def test_a_network_in_training_is_not_folded():
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        fold_batch_norm(trained_on_noise().train())


@torch.no_grad()
@pytest.mark.parametrize("block", [ConvNormAct(3, 5, kernel_size=3), ConvTransposeNormAct(3, 5, scale=2)])
def test_the_convolution_has_scale_and_shift_of_the_normalization(block):
    torch.nn.init.constant_(block.conv.weight, 0.5)
    block.norm.running_mean.fill_(2)
    block.norm.running_var.fill_(4)
    block.norm.weight.fill_(3)
    block.norm.bias.fill_(1)
    fold_batch_norm(block.eval())
    torch.testing.assert_close(block.conv.weight, torch.full_like(block.conv.weight, 0.5 * 3 / 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(block.conv.bias, torch.full((5,), 1 - 2 * 3 / 2), atol=1e-5, rtol=0)
