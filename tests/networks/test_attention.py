# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scripts.networks.attention import ChannelAttention, CrossAttention, SpatialAttention

# Shapes: (B, H*W, C) features.


def test_cross_attention_is_scaled_attention_at_half_width():
    torch.manual_seed(0)
    attention, query, key = CrossAttention(16, 2), torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    q, k, v = attention.query(query), attention.key(key), attention.value(key)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = q[..., head] @ k[..., head].transpose(1, 2) / math.sqrt(4)
        heads.append(scores.softmax(-1) @ v[..., head])
    torch.testing.assert_close(attention(query, key, key), attention.out(torch.cat(heads, -1)))


def test_a_few_tokens_ask_and_are_asked_with_equal_results():
    torch.manual_seed(0)
    attention = CrossAttention(16, 2).double()
    tokens, pixels = torch.randn(2, 3, 16).double(), torch.randn(2, 35, 16).double()
    torch.testing.assert_close(attention.ask(tokens, 2 * pixels, pixels), attention(tokens, 2 * pixels, pixels))
    keys, offsets = attention.keys(tokens)
    read = attention.spread(keys @ pixels.transpose(1, 2) + offsets, tokens)
    torch.testing.assert_close(read, attention(pixels, tokens, tokens))


def test_no_channel_weight_is_negligible_yet_above_zero():
    features = torch.zeros(1, 1, 64, requires_grad=True)
    features.data[..., 1:] = torch.linspace(9, 11, 63)  # affinities to channel 1 spread from 0 to 99
    affinity = features.transpose(1, 2) @ features
    weights = torch.softmax(affinity.amax(-1, keepdim=True) - affinity, -1)
    tiny = torch.finfo(torch.float32).tiny
    assert ((weights > 0) & (weights < tiny)).any()
    kept = ChannelAttention()._weights(features)
    torch.testing.assert_close(kept, weights)
    (gradient,) = torch.autograd.grad(kept.square().sum(), features)
    for values in (kept, gradient.abs()):
        assert not ((values > 0) & (values < 1e-30)).any()


def test_spatial_attention_weighs_places():
    torch.manual_seed(0)
    attention, features = SpatialAttention(), torch.randn(2, 15, 8)
    maps = features.transpose(1, 2).unflatten(-1, (3, 5))  # BxCxHxW
    summary = torch.stack([maps.mean(1), maps.max(1).values], 1)
    weight = torch.sigmoid(nn.functional.conv2d(summary, attention.conv.weight, padding=3))
    expected = (maps * weight + maps).flatten(2).transpose(1, 2)
    torch.testing.assert_close(features * attention(features, 3, 5), expected)


def channel_attention(features: torch.Tensor, gamma: float) -> torch.Tensor:
    """In float64, as written in the paper's release: gamma softmax(max A - A) x + x with A = x x^T."""
    x = features.double().transpose(1, 2)  # BxCxHW
    affinity = x @ x.transpose(1, 2)
    weights = torch.softmax(affinity.amax(-1, keepdim=True) - affinity, -1)
    return (gamma * (weights @ x) + x).transpose(1, 2)


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_channel_attention_keeps_its_affinity_out_of_half_precision(autocast, scripted):
    torch.manual_seed(0)
    module, features = ChannelAttention(), torch.randn(2, 4096, 16)
    module.gamma.data.fill_(1.0)
    features[..., 1] = features[..., 0] + 0.02 * features[..., 1]  # affinities of thousands that differ by a few
    expected = channel_attention(features, 1.0)
    module = torch.jit.script(module) if scripted else module
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast), torch.no_grad():
        mixing = module(features)
        error = (features @ mixing.transpose(1, 2) - expected).abs().max().item()
        weights = module._weights(features)
    assert weights.dtype == torch.float32
    assert error < (0.05 if autocast else 1e-3)  # bfloat16 rounds the mixed features, not how they are mixed
    rounded = features.bfloat16().transpose(1, 2) @ features.bfloat16()
    wrong = torch.softmax(rounded.amax(-1, keepdim=True) - rounded, -1).float()
    assert (wrong - weights).abs().max() > 0.5  # what half precision would have given


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: CrossAttention(15, 1), "multiple of 2.*got 15; use 16"),
        (lambda: CrossAttention(0, 1), "channels must be at least 1: got 0"),
        (lambda: CrossAttention(16, 3), "num_heads=3 and 16 // 2 = 8; use num_heads=2"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()
