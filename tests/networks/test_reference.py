# SPDX-License-Identifier: Apache-2.0

"""The network equals its reference formulation: the same numbers, whatever form it computes them in."""

from __future__ import annotations

import pytest
import torch

from awake import wake
from reference import ReferenceQTSeg
from scripts.networks.qtseg import QTSeg

SIZES = [(3, 96, 32), (2, 256, 160)]  # batch, height, width; the second is decoded in several parts
TOLERANCE = {torch.float64: (1e-9, 1e-9), torch.float32: (1e-4, 1e-3)}  # of logits and gradients


def logits_and_gradients(network: torch.nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logits = network(image)
    target = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits).roll(7, dims=-1)
    torch.nn.functional.mse_loss(logits, target).backward()
    return logits.detach(), torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("out_channels", [1, 2, 3, 20])
def test_equal_to_the_reference(out_channels, size, training, dtype):
    torch.manual_seed(out_channels)
    network = QTSeg(3, out_channels)
    wake(network)
    network = network.to(dtype).train(training)
    image = torch.rand(size[0], 3, *size[1:], dtype=dtype) * 2 - 1
    expected, expected_gradients = logits_and_gradients(ReferenceQTSeg(network), image)
    logits, gradients = logits_and_gradients(network, image)
    on_logits, on_gradients = TOLERANCE[dtype]
    assert (logits - expected).square().mean().sqrt() <= on_logits * expected.std()
    assert (gradients - expected_gradients).norm() <= on_gradients * expected_gradients.norm()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("out_channels", [1, 3])
def test_group_norm_detail_and_refinement_are_equal_to_the_reference(out_channels, size):
    torch.manual_seed(out_channels)
    network = QTSeg(3, out_channels, norm="group", detail=True, refine=True).double()
    wake(network)
    image = torch.rand(size[0], 3, *size[1:], dtype=torch.float64) * 2 - 1
    expected, expected_gradients = logits_and_gradients(ReferenceQTSeg(network), image)
    logits, gradients = logits_and_gradients(network, image)
    assert (logits - expected).square().mean().sqrt() <= 1e-9 * expected.std()
    assert (gradients - expected_gradients).norm() <= 1e-9 * expected_gradients.norm()


def test_few_tokens_take_another_form_than_many():
    forms = {classes: [stage.few_tokens for stage in QTSeg(3, classes).decoder.stages] for classes in (2, 5, 20)}
    assert forms == {2: [True, True, True], 5: [False, True, True], 20: [False, False, False]}


def test_the_native_reference_is_the_reference():
    torch.manual_seed(0)
    network, image = QTSeg(3, 2).double(), torch.rand(2, 3, 64, 96).double()
    wake(network)
    torch.testing.assert_close(ReferenceQTSeg(network, native=True)(image), ReferenceQTSeg(network)(image))
