# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
import gc

import psutil
import pytest
import torch

from scripts.data.survey import Facts
from scripts.networks.qtseg import QTSeg
from scripts.training import memory
from scripts.training.memory import fit_batch_size, free_bytes, kept_bytes, pixels_per_image

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> QTSeg:
    torch.manual_seed(0)
    return QTSeg(3, 2, features=8, num_heads=2, mlp_dim=32, depths=(1, 1, 1))


def fit(network: QTSeg, batch_size: int) -> int:
    return fit_batch_size(
        batch_size, network=network, in_channels=3, spatial_size=(64, 64), device=CPU, precision="float32"
    )


def test_kept_bytes_grow_with_the_batch(network):
    weights = sum(parameter.nbytes for parameter in network.parameters())
    few, many = (kept_bytes(network.train(), torch.zeros(batch, 3, 64, 64)) - weights for batch in (2, 8))
    assert many / few == pytest.approx(4, rel=0.2)


def test_what_is_kept_once_counts_once():
    x = torch.ones(1000, requires_grad=True)

    class Square(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return x * x + x * images

    assert kept_bytes(Square(), torch.ones(1000)) == 2 * 4000


def test_what_is_counted_is_given_back():
    class Exponential(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images * self.weight).exp()  # keeps its result

    def taken() -> int:
        gc.collect()
        return psutil.Process().memory_info().rss

    network, images = Exponential(1, 1), torch.zeros(2**24)
    kept_bytes(network, images)
    before = taken()
    for _ in range(4):
        assert kept_bytes(network, images) >= images.nbytes
    assert taken() - before < images.nbytes


@pytest.mark.parametrize("room, expected", [(100.0, 16), (0.6, 8), (0.3, 4), (0.01, 1)])
def test_a_batch_that_does_not_fit_is_halved_and_that_is_said(network, room, expected, monkeypatch, caplog):
    weights = sum(parameter.nbytes for parameter in network.parameters())
    trial = copy.deepcopy(network).train()
    few, many = (kept_bytes(trial, torch.zeros(batch, 3, 64, 64)) for batch in (2, 4))
    needed = 1.3 * 16 * (many - few) / 2
    monkeypatch.setattr(memory, "free_bytes", lambda device: room * needed + 4 * weights)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with caplog.at_level("INFO", logger="qtseg"):
        assert fit(network, 16) == expected
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    if expected < 16:
        assert "batch_size 16 at 64 x 64 needs about" in caplog.text and f"takes {expected};" in caplog.text
    else:
        assert not caplog.text


def test_a_channel_for_each_of_many_classes_takes_room(network, monkeypatch):
    options = {"network": network, "in_channels": 3, "spatial_size": (64, 64), "device": CPU, "precision": "float32"}
    few, more = (kept_bytes(network, torch.zeros(n, 3, 64, 64)) for n in (2, 3))
    weights = sum(parameter.nbytes for parameter in network.parameters())
    labels = 16 * 98 * 64 * 64  # of an image with 100 classes
    needed = 16 * (1.3 * (more - few) + labels)
    for room, fitted in ((1.01, 16), (0.99, 8)):
        monkeypatch.setattr(memory, "free_bytes", lambda device, room=room: room * needed + 4 * weights)
        assert fit_batch_size(16, num_classes=100, **options) == fitted


@pytest.mark.parametrize("label_channels", [1, 20])
def test_the_cache_of_images_and_labels_takes_room(label_channels, network, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**30)
    fitted = [
        fit_batch_size(
            16,
            network=network,
            in_channels=3,
            spatial_size=(64, 64),
            device=CPU,
            precision="float32",
            cached_pixels=pixels,
            label_channels=label_channels,
        )
        for pixels in (0, 2**30 / (3 + label_channels))
    ]
    assert fitted == [16, 1]


def test_pixels_of_an_image_are_those_that_are_kept_in_memory():
    found = [Facts("a", size=(10, 20)), Facts("b", problem="b is damaged"), Facts("c", size=(30, 40))]
    assert pixels_per_image(found, None) == (10 * 20 + 30 * 40) / 2
    assert pixels_per_image(found, (32, 64)) == 32 * 64
    assert pixels_per_image(found[1:2], None) == 0


@pytest.mark.parametrize("batch_size", [0, -1, "8"])
def test_what_is_no_batch_size_is_left_to_the_check_of_knobs(network, batch_size):
    assert fit(network, batch_size) == batch_size


def test_free_memory_is_within_the_limit_of_a_container(tmp_path, monkeypatch):
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "Path", lambda folder, name: tmp_path / name)
    assert free_bytes(CPU) == 2000
    (tmp_path / "memory.stat").write_text("anon 400\ninactive_file 600\n")
    assert free_bytes(CPU) == 2600
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) > 2000
