# SPDX-License-Identifier: Apache-2.0

"""Parity with the published QTSeg: its golden outputs, loss and gradients, from a deterministic fill."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from golden import filled_release, golden_cases
from scripts.checkpoints.state_dicts import convert_release
from scripts.networks.qtseg import QTSeg
from workflows import CONFIGS

CASES = {case["name"]: case for case in golden_cases()}
PARTS = {"encoder": "image_encoder", "bridge": "bridge", "decoder": "mask_decoder"}


def filled_network(case: dict[str, Any]) -> QTSeg:
    config = case["config"]
    network = QTSeg(
        case["in_channels"],
        case["num_classes"],
        features=config["n_channel"],
        depths=config["mask_depths"],
        num_heads=config["num_heads"],
        mlp_dim=config["mlp_dim"],
    )
    release = filled_release(in_channels=case["in_channels"], num_tokens=case["num_classes"])
    network.load_state_dict(convert_release(release), strict=True)
    return network


def image(case: dict[str, Any]) -> Tensor:
    pixels = np.random.RandomState(case["input_seed"]).uniform(-1, 1, case["input_shape"])
    return torch.from_numpy(pixels.astype(np.float32))


def check_probe(probe: dict[str, Any], output: Tensor) -> None:
    assert list(output.shape) == probe["shape"]
    values = output.double().flatten()
    tolerance = 2e-5 * probe["std"]
    assert values[probe["indices"]].numpy() == pytest.approx(np.array(probe["values"]), rel=0, abs=tolerance)
    assert values.mean().item() == pytest.approx(probe["mean"], rel=0, abs=tolerance)
    assert values.std().item() == pytest.approx(probe["std"], rel=2e-5)
    assert values.norm().item() == pytest.approx(probe["l2"], rel=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_every_probe(name: str) -> None:
    case = CASES[name]
    network = filled_network(case).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == case["parameters"]
    with torch.no_grad():
        _, encoded = network.encoder(image(case))
        bridged = network.bridge(encoded)
        probed = {"low_res_logits": network.decoder(bridged), "logits": network(image(case))}
    for probe, output in zip(case["encoder"] + case["mlfd"], encoded + bridged, strict=True):
        check_probe(probe, output)
    for key, output in probed.items():
        check_probe(case[key], output)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "train" in case])
def test_loss_and_gradients(name: str) -> None:
    case = CASES[name]
    expected = case["train"]
    # Batch statistics of 12 values magnify rounding, which differs between processors: in float64 it is not ours.
    network = filled_network(case).train().double()
    batch, _, height, width = case["input_shape"]
    labels = np.random.RandomState(expected["label_seed"]).uniform(0, 1, (batch, 1, height, width)) > 0.6
    declared = json.loads((CONFIGS / "train.json").read_text())["train"]["loss"]
    criterion = ConfigParser(declared).get_parsed_content()
    shares = torch.from_numpy(np.concatenate([~labels, labels], axis=1)).double()
    loss = criterion(network(image(case).double()), shares)
    loss.backward()
    assert loss.item() == pytest.approx(expected["loss_ce_plus_dice"], rel=0, abs=1e-5)
    for part, release_part in PARTS.items():
        gradients = [parameter.grad for parameter in network.get_submodule(part).parameters()]
        norm = torch.cat([gradient.double().flatten() for gradient in gradients]).norm().item()
        assert norm == pytest.approx(expected["grad_l2"][release_part], rel=1e-4)
