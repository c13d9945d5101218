# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import os
import pickle
import zipfile

import pytest
import torch

from awake import wake
from golden import filled_release, release_shapes
from scripts.checkpoints.__main__ import main
from scripts.checkpoints.state_dicts import convert_release, load_encoder, load_weights, read_weights
from scripts.common.errors import InputError
from scripts.networks.qtseg import QTSeg

SETTINGS = [
    {},
    {"in_channels": 1},
    {"num_tokens": 5},
    {"features": 8},
    {"features": 32, "mlp_dim": 128},
    {"depths": (2, 1, 4)},
    {"bridge": False},
]


def network_for(setting: dict, num_heads: int = 8) -> QTSeg:
    kept = {name: value for name, value in setting.items() if name not in ("in_channels", "num_tokens")}
    return QTSeg(setting.get("in_channels", 3), setting.get("num_tokens", 2), num_heads=num_heads, **kept)


@pytest.fixture(scope="module")
def release() -> dict[str, torch.Tensor]:
    return filled_release()


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("num_heads", [4, 8])
def test_every_key_maps_one_to_one(setting, num_heads):
    shapes = release_shapes(**setting)
    converted = convert_release({key: torch.empty(shape) for key, shape in shapes.items()})
    ours = {key: tuple(value.shape) for key, value in network_for(setting, num_heads).state_dict().items()}
    assert {key: tuple(value.shape) for key, value in converted.items()} == ours
    assert len(converted) == len(shapes)
    if not setting:
        assert len(shapes) == 614


def test_no_two_keys_share_a_tensor(release):
    converted = convert_release(release)
    assert {id(value) for value in converted.values()} == {id(value) for value in release.values()}


def test_all_forms_of_a_release_file(release):
    plain = convert_release(release)
    assert convert_release({"state_dict_model": release, "epoch": 3}).keys() == plain.keys()
    encoder = {key: value for key, value in release.items() if key.startswith("image_encoder.")}
    bare = {key.removeprefix("image_encoder."): value for key, value in encoder.items()}
    expected = {key for key in plain if key.startswith("encoder.")}
    assert set(convert_release(encoder)) == set(convert_release(bare)) == expected


@pytest.mark.parametrize(
    "key",
    [
        "image_encoder.c2f_4.m.1.cv2.bn.running_var",
        "bridge.neck_2_0.conv.weight",
        "mask_decoder.mask_tokens.weight",
        "mask_decoder.MLP_s1.1.layers.2.bias",
        "mask_decoder.DMAB_s2.layers.1.feature_mix.q_proj.weight",
        "mask_decoder.PE_s0.positional_encoding_gaussian_matrix",
    ],
)
def test_a_missing_key_is_named(release, key):
    with pytest.raises(InputError, match="lacks") as error:
        convert_release({k: v for k, v in release.items() if k != key})
    assert key in str(error.value)


def test_an_unknown_key_is_named(release):
    with pytest.raises(InputError, match="unknown 'mask_decoder.extra'"):
        convert_release({**release, "mask_decoder.extra": torch.zeros(1)})


def test_a_wrong_shape_fails_in_the_strict_load(release):
    converted = convert_release({**release, "bridge.neck_0_0.conv.weight": torch.zeros(3, 3, 1, 1)})
    with pytest.raises(RuntimeError, match="bridge.sf0.from_s0.conv.weight"):
        QTSeg(3, 2).load_state_dict(converted, strict=True)


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
    assert caplog.messages == [f"{tmp_path / 'plain.pt'} has no refinement; that of the network starts as none"]
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


def test_the_command_converts_a_file(release, tmp_path, capsys):
    torch.save({"state_dict_model": release}, tmp_path / "release.pt")
    assert main([str(tmp_path / "release.pt"), str(tmp_path / "model.pt")]) == 0
    assert "9,214,850 parameters, 3 input channels, width 16, 2 classes" in capsys.readouterr().out
    QTSeg(3, 2).load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "release.pt"]


def test_the_command_converts_an_encoder(release, tmp_path, capsys):
    torch.save({k: v for k, v in release.items() if k.startswith("image_encoder.")}, tmp_path / "fpn.pt")
    assert main([str(tmp_path / "fpn.pt"), str(tmp_path / "encoder.pt")]) == 0
    assert "encoder, 2,259,536 parameters, 3 input channels, width 16" in capsys.readouterr().out


def test_the_command_overwrites_only_when_told(release, tmp_path, capsys):
    torch.save(release, tmp_path / "release.pt")
    (tmp_path / "model.pt").write_text("mine")
    arguments = [str(tmp_path / "release.pt"), str(tmp_path / "model.pt")]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "model.pt exists" in error and "--force" in error and "Traceback" not in error
    assert (tmp_path / "model.pt").read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert len(torch.load(tmp_path / "model.pt", weights_only=True)) == 614


@pytest.mark.parametrize(
    "source, target, message",
    [
        ("nowhere.pt", "model.pt", "nowhere.pt is no file"),
        ("release.pt", "no/folder/model.pt", "is no folder"),
        ("ours.pt", "model.pt", "use it as it is"),
    ],
)
def test_the_command_says_what_is_wrong(release, tmp_path, capsys, source, target, message):
    torch.save(release, tmp_path / "release.pt")
    torch.save(convert_release(release), tmp_path / "ours.pt")
    assert main([str(tmp_path / source), str(tmp_path / target)]) == 1
    assert message in capsys.readouterr().err
