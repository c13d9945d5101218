# SPDX-License-Identifier: Apache-2.0

"""The networks that the benchmark measures: QTSeg in all its forms, and MONAI's networks for the same task."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from functools import partial

import torch
from monai.inferers import SimpleInferer
from monai.networks.nets import AttentionUnet, FlexibleUNet, SegResNet, SwinUNETR, UNet
from torch import Tensor, nn

from ..checkpoints.architecture import architecture_of
from ..checkpoints.loading import load_trained
from ..common.paths import TESTS
from ..networks.acceleration import compile_network, freeze_script, speed_up
from ..networks.precision import AutocastInferer
from ..networks.qtseg import QTSeg
from ..networks.unet_plus_plus import UNetPlusPlus

__all__ = ["evaluating", "inferring", "training"]

Contender = Callable[[], nn.Module]

_logger = logging.getLogger("qtseg")
_REFERENCE = TESTS / "reference.py"


def evaluating(build: Contender) -> nn.Module:
    """Build a network and switch it to evaluation mode.

    Args:
        build: the function that builds the network.
    """
    return build().eval()


def inferring(weights: str | None, device: torch.device, *, compiles: bool) -> dict[str, Contender]:
    """List the networks that predict masks, in evaluation mode.

    Args:
        weights: path of a trained model with two classes; None for random weights.
        device: the device that the networks are built on, because frozen networks cannot be moved later.
        compiles: whether compiled forms of QTSeg are listed too; compiling takes a minute.

    Returns:
        By name, the function that builds the network. It can be pickled, so that another process can call it.
    """
    forms = {name: partial(evaluating, build) for name, build in _forms(weights, device).items()}
    for name, precision in (("QTSeg, folded", "float32"), ("QTSeg, bfloat16", "bfloat16")):
        forms[name] = partial(_qtseg_folded, weights, device, precision)
        if compiles:
            forms[f"{name}, compiled"] = partial(_qtseg_compiled, weights, device, precision)
        forms[f"{name}, TorchScript"] = partial(_qtseg_scripted, weights, device, precision)
    return {**forms, **{name: partial(evaluating, build) for name, build in _peers(device).items()}}


def training(weights: str | None, device: torch.device) -> dict[str, Contender]:
    """List the networks that can be trained; arguments and result are like those of ``inferring``."""
    half: dict[str, Contender] = {"QTSeg, bfloat16": partial(_qtseg_autocast, weights, device)}
    return {**_forms(weights, device), **half, **_peers(device)}


def _forms(weights: str | None, device: torch.device) -> dict[str, Contender]:
    forms: dict[str, Contender] = {}
    if _REFERENCE.is_file():
        forms["QTSeg, reference"] = partial(_reference, weights, device, native=False)
        forms["QTSeg, reference, native"] = partial(_reference, weights, device, native=True)
    else:
        _logger.warning(f"the reference formulation is left out: {_REFERENCE} does not exist")
    forms["QTSeg"] = partial(_qtseg, weights, device)
    return forms


def _reference(weights: str | None, device: torch.device, *, native: bool) -> nn.Module:
    spec = importlib.util.spec_from_file_location("reference", _REFERENCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.ReferenceQTSeg(_qtseg(weights, device), native=native)
    return network


def _qtseg(weights: str | None, device: torch.device) -> QTSeg:
    torch.manual_seed(0)
    network = QTSeg(3, 2, **architecture_of(weights))
    if weights is not None:
        load_trained(network, weights)
    return network.to(device)


def _qtseg_autocast(weights: str | None, device: torch.device) -> nn.Module:
    return _Autocast(_qtseg(weights, device))


def _qtseg_folded(weights: str | None, device: torch.device, precision: str) -> nn.Module:
    network = _qtseg(weights, device)
    speed_up(network, precision)
    return network


def _qtseg_scripted(weights: str | None, device: torch.device, precision: str) -> nn.Module:
    return freeze_script(_qtseg(weights, device), precision)


def _qtseg_compiled(weights: str | None, device: torch.device, precision: str) -> nn.Module:
    network = _qtseg_folded(weights, device, precision)
    compile_network(network, "reduce-overhead")
    return network


def _peers(device: torch.device) -> dict[str, Contender]:
    """List MONAI's networks, with their default width and depth or those of MONAI's tutorials."""
    channels, strides = (16, 32, 64, 128, 256), (2, 2, 2, 2)
    peers: dict[str, Contender] = {
        "UNet": partial(UNet, 2, 3, 2, channels, strides, num_res_units=2),
        "BasicUNetPlusPlus": partial(UNetPlusPlus, 2, 3, 2),
        "AttentionUnet": partial(AttentionUnet, 2, 3, 2, channels, strides),
        "SegResNet": partial(SegResNet, 2, in_channels=3, out_channels=2, init_filters=16),
        "FlexibleUNet": partial(FlexibleUNet, 3, 2, "efficientnet-b0", pretrained=False),
    }
    if importlib.util.find_spec("einops") is None:
        _logger.warning("SwinUNETR is left out: it needs einops; python -m pip install einops")
    else:
        peers["SwinUNETR"] = partial(SwinUNETR, 3, 2, feature_size=24, spatial_dims=2)
    return {name: partial(_build_on, build, device) for name, build in peers.items()}


def _build_on(build: Contender, device: torch.device) -> nn.Module:
    return build().to(device)


class _Autocast(nn.Module):
    """Run a network in half precision as the trainer does: its weights stay float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.infer = AutocastInferer(SimpleInferer(), "bfloat16")

    def forward(self, x: Tensor) -> Tensor:
        return self.infer(x, self.network)
