# SPDX-License-Identifier: Apache-2.0

"""What is kept of scores."""

from __future__ import annotations

import math

import torch
from monai.data import MetaTensor

from scripts.transforms.discretize import FULL_SCALE, ArgMaxd, Decide


def test_ids_alone():
    scores = torch.tensor([[0.2, 0.5], [0.8, 0.5]])[:, None]
    ids = Decide(softmax=False)(scores)
    assert ids.dtype == torch.uint8 and ids.tolist() == [[[1, 0]]]


def test_probabilities_and_entropy_are_whole_numbers():
    logits = torch.randn(3, 4, 5)
    kept = Decide(softmax=True, fine=True)(logits)
    assert kept.shape == (4, 4, 5) and torch.equal(kept[:1], Decide(softmax=True)(logits).int())
    probabilities = logits.softmax(0)
    torch.testing.assert_close(kept[1:3] / FULL_SCALE, probabilities[1:], atol=1e-5, rtol=0)
    entropy = -(probabilities * probabilities.log()).sum(0) / math.log(3)
    torch.testing.assert_close(kept[3] / FULL_SCALE, entropy, atol=1e-5, rtol=0)
    assert torch.equal(Decide(softmax=False, fine=True)(probabilities)[1:], kept[1:])


def test_sure_and_unsure():
    kept = Decide(softmax=False, fine=True)(torch.tensor([[1.0, 0.5], [0.0, 0.5]]))
    assert kept[1].tolist() == [0, round(FULL_SCALE / 2)] and kept[2].tolist() == [0, FULL_SCALE]


def test_the_class_of_the_highest_score():
    scores = MetaTensor(torch.tensor([[[0.1, 0.5]], [[0.7, 0.5]], [[0.2, 0.0]]]), affine=torch.eye(4) * 2)
    chosen = ArgMaxd("pred")({"pred": scores})["pred"]
    assert chosen.shape == (1, 1, 2) and chosen.flatten().tolist() == [1, 0]
    assert torch.equal(chosen.affine, scores.affine)  # Invertd and the writers need what is known of the image
