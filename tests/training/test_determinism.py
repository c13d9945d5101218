# SPDX-License-Identifier: Apache-2.0

"""Random numbers follow from the seed, the epoch and the image."""

from __future__ import annotations

import os

import pytest
import torch
from monai.data import Dataset
from monai.transforms import Compose, RandShiftIntensityd

from scripts.training import determinism
from scripts.training.determinism import EpochSampler, SeededDataset, derived_seed, use_deterministic_algorithms
from workflows import train_small


@pytest.fixture
def processes(monkeypatch):
    """Stand for one process of several."""

    def become(rank: int, size: int) -> None:
        monkeypatch.setattr(determinism.idist, "get_rank", lambda: rank)
        monkeypatch.setattr(determinism.idist, "get_world_size", lambda: size)

    return become


def order(sampler: EpochSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return [place % sampler.num_images for place in sampler]


def test_the_order_is_of_the_seed_and_the_epoch():
    orders = [order(EpochSampler(range(20), seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(each) == list(range(20)) for each in orders)
    assert len({tuple(each) for each in orders}) == 4
    assert order(EpochSampler(range(20), seed=1), 1) == orders[3]


def test_what_was_met_is_left_out_once():
    sampler = EpochSampler(range(20), seed=0)
    whole = order(sampler, 3)
    sampler.skip(8)
    assert order(sampler, 3) == whole[8:]
    assert order(sampler, 3) == whole


@pytest.mark.parametrize("count", [8, 11])
def test_processes_share_the_batches_of_one(count, processes):
    processes(0, 1)
    one = order(EpochSampler(range(count), seed=0, drop_last=True), 2)
    shares = []
    for rank in range(2):
        processes(rank, 2)
        shares.append(order(EpochSampler(range(count), seed=0, drop_last=True), 2))
    for step in range(count // 4):  # of two images in each
        shared = [index for share in shares for index in share[2 * step : 2 * step + 2]]
        assert sorted(shared) == sorted(one[4 * step : 4 * step + 4])
    assert all(len(share) == count // 2 for share in shares)


def test_changes_are_of_the_seed_the_epoch_and_the_image():
    def item(seed: int, epoch: int, index: int) -> float:
        shift = Compose([RandShiftIntensityd(keys="image", offsets=1.0, prob=1.0)])
        found = SeededDataset(Dataset([{"image": torch.zeros(1, 2, 2)}] * 5, shift), seed)[epoch * 5 + index]
        assert found["index"] == index
        return float(found["image"].mean())

    values = {item(*where) for where in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))}
    assert len(values) == 4 and item(0, 1, 0) in values
    assert derived_seed("item", 0, 1, 2) != derived_seed("item", 0, 12)


@pytest.fixture
def as_before(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    torch.use_deterministic_algorithms(False)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_deterministic_algorithms_are_asked_for_where_wanted(as_before, blobs, tmp_path):
    use_deterministic_algorithms(False)
    assert not torch.are_deterministic_algorithms_enabled() and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    train_small(tmp_path, blobs, deterministic="true")
    assert torch.are_deterministic_algorithms_enabled() and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
