# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import os
import pickle
import zipfile

import pytest
import torch

from awake import wake
from scripts.checkpoints.state_dicts import convert_release, load_encoder, load_weights, read_weights
from scripts.common.errors import InputError
from scripts.networks.qtseg import QTSeg


def test_whole_models_load_from_both_kinds_of_file(release, tmp_path):
    torch.save({"state_dict_model": release, "epoch": 3}, tmp_path / "release.pt")
    first, second = QTSeg(3, 2), QTSeg(3, 2)
    assert load_weights(first, tmp_path / "release.pt") == []
    torch.save(first.state_dict(), tmp_path / "ours.pt")
    assert load_weights(second, tmp_path / "ours.pt") == []
    for key, value in convert_release(release).items():
        assert torch.equal(second.state_dict()[key], value), key


def test_another_class_count_keeps_the_fresh_tokens_and_their_mlps_and_says_so(release, tmp_path, caplog):
    torch.save(release, tmp_path / "two.pt")
    network = QTSeg(3, 4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with caplog.at_level(logging.WARNING, logger="qtseg"):
        fresh = load_weights(network, tmp_path / "two.pt")
    assert "decoder.tokens" in fresh and all("tokens" in key or "token_mlps" in key for key in fresh)
    after, loaded = network.state_dict(), convert_release(release)
    for key, value in after.items():
        assert torch.equal(value, before[key] if key in fresh else loaded[key]), key
    assert "2 classes" in caplog.text and "4" in caplog.text and "two.pt" in caplog.text


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_another_class_count_starts_as_no_refinement(norm, tmp_path):
    small = {"features": 4, "num_heads": 2, "mlp_dim": 16, "depths": (1, 1, 1), "norm": norm, "refine": True}
    two, four = QTSeg(3, 2, **small), QTSeg(3, 4, **small)
    wake(two)
    torch.save(two.state_dict(), tmp_path / "two.pt")
    fresh = load_weights(four, tmp_path / "two.pt")
    assert {"refinement.merge.conv.weight", "refinement.correct.weight", "refinement.correct.bias"} <= set(fresh)
    assert four.refinement is not None and two.refinement is not None
    assert not four.refinement.correct.weight.any()
    assert torch.equal(four.refinement.look[1].conv.weight, two.refinement.look[1].conv.weight)


def test_a_plain_model_can_be_refined_from_then_on(release, tmp_path, caplog):
    torch.save(release, tmp_path / "plain.pt")
    plain, refined = QTSeg(3, 2), QTSeg(3, 2, refine=True)
    load_weights(plain, tmp_path / "plain.pt", exact=True)
    with caplog.at_level(logging.INFO, logger="qtseg"):
        fresh = load_weights(refined, tmp_path / "plain.pt")
    assert fresh and all(key.startswith("refinement.") for key in fresh)
    assert caplog.messages == [f"{tmp_path / 'plain.pt'} has no refinement; that of the network starts without effect"]
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(refined.eval()(image), plain.eval()(image))
    with pytest.raises(InputError, match="does not fit the network: .*refinement"):
        load_weights(refined, tmp_path / "plain.pt", exact=True)
    torch.save(refined.state_dict(), tmp_path / "refined.pt")
    with pytest.raises(InputError, match="does not fit the network: .*refinement"):
        load_weights(plain, tmp_path / "refined.pt")


@pytest.mark.parametrize("whole", [True, False])
def test_encoders_load_from_whole_models_and_alone(release, tmp_path, whole):
    kept = release if whole else {k: v for k, v in release.items() if k.startswith("image_encoder.")}
    torch.save(kept, tmp_path / "file.pt")
    network = QTSeg(3, 7)
    tokens = network.decoder.tokens.clone()
    load_encoder(network, tmp_path / "file.pt")
    loaded = convert_release(release)
    assert all(torch.equal(v, loaded[k]) for k, v in network.state_dict().items() if k.startswith("encoder."))
    assert torch.equal(network.decoder.tokens, tokens)


@pytest.mark.parametrize(
    "network", [QTSeg(1, 2), QTSeg(3, 2, features=8), QTSeg(3, 2, depths=(1, 1, 1)), QTSeg(3, 2, bridge=False)]
)
def test_a_file_for_another_network_names_file_key_and_shapes(release, tmp_path, network):
    torch.save(release, tmp_path / "model.pt")
    with pytest.raises(InputError, match="does not fit the network") as error:
        load_weights(network, tmp_path / "model.pt")
    assert "model.pt" in str(error.value) and "in the file and" in str(error.value)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("owned",)


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "not weights")


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: path.write_bytes(b""), "cannot be read as weights"),
        (lambda path: path.write_bytes(b"not a checkpoint"), "cannot be read as weights"),
        (lambda path: path.write_bytes(pickle.dumps(Malicious(), protocol=2)), "cannot be read as weights"),
        (lambda path: torch.save({"w": Malicious()}, path), "cannot be read as weights"),
        (archive, "cannot be read as weights"),
        (lambda path: torch.save(torch.zeros(3), path), "object of type Tensor"),
        (lambda path: torch.save({"epoch": 3}, path), "no state dict.*'epoch'"),
        (lambda path: torch.save({}, path), "empty state dict"),
        (lambda path: torch.save({"fc.weight": torch.zeros(1)}, path), "state dict with the keys 'fc.weight'"),
        (lambda path: None, "is no file"),
    ],
)
def test_other_files_are_refused_and_run_nothing(tmp_path, monkeypatch, write, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pt"
    write(path)
    with pytest.raises(InputError, match=message) as error:
        read_weights(path)
    assert str(path) in str(error.value)
    assert not (tmp_path / "owned").exists()


def test_a_truncated_file_is_refused(release, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(release, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="model.pt cannot be read as weights"):
        read_weights(path)
