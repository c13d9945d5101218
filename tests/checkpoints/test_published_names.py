# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from golden import release_shapes
from scripts.checkpoints.state_dicts import convert_release
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
