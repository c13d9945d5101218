# SPDX-License-Identifier: Apache-2.0

"""Which options of QTSeg's architecture a run takes: its knobs, those of weights that it starts from, or the published.

The options themselves are the rows of :py:data:`..networks.qtseg.OPTIONS`; an architecture is a value for each of them,
by its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import given_path
from ..networks.qtseg import OPTIONS, QTSeg
from .model_schema import PUBLISHED
from .state_dicts import read_weights

__all__ = ["architecture_of", "build_qtseg", "check_architecture", "choose_architecture", "no_architecture"]


def architecture_of(
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The architecture of a network that weights fit.

    Args:
        weights: of a whole model, ours or the published release's.
        encoder_weights: of an encoder.
        settings: of a model that the training goes on with.

    Returns:
        A value for each option; without weights those of ``settings``, or else the published ones.

    Raises:
        InputError: if a file cannot be read, or holds something else.
    """
    path = weights if weights is not None else encoder_weights
    if path is not None:
        names = read_weights(given_path(path))
        return {name: option.value_in(names) for name, option in OPTIONS.items()}
    return {name: (settings or PUBLISHED)[name] for name in OPTIONS}


def no_architecture() -> dict[str, Any]:
    """What stands for the options of QTSeg where the network is of another kind: None or False for each of them."""
    return {name: option.absent for name, option in OPTIONS.items()}


def choose_architecture(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture that the names of the options in a config ask for, checked. To be named in the config.

    Args:
        defaults: a value for each option, taken where the config does not have its name.

    Returns:
        A value for each option; for a network of another kind None or False.

    Raises:
        InputError: naming the first knob that has no such value.
        RuntimeError: if not called by a config.
    """
    config = calling_parser()
    asked = {name: config.get_parsed_content(name) if name in config else defaults[name] for name in OPTIONS}
    if None in asked.values():  # an overlay of another network may be older than an option, and not name it
        asked = {name: OPTIONS[name].absent if value == defaults[name] else value for name, value in asked.items()}
    return {name: option.checked(asked[name]) for name, option in OPTIONS.items()}


def build_qtseg(architecture: Mapping[str, Any], in_channels: int, out_channels: int, **settings: Any) -> QTSeg:
    """Build a QTSeg with the options that were chosen.

    Args:
        architecture: a value for each option.
        in_channels: channels of the image.
        out_channels: number of classes, the background counted.
        settings: other arguments of :py:class:`..networks.qtseg.QTSeg`.

    Raises:
        InputError: if the architecture is that of a network of another kind.
    """
    for name, value in architecture.items():
        if value is None:
            raise InputError(
                f"{name} is null, as in models of other networks than QTSeg; add the overlay that the model was "
                "trained with, such as configs/networks/unet.json, to --config_file"
            )
    return QTSeg(in_channels, out_channels, **{**architecture, **settings})


def check_architecture(
    network: nn.Module, architecture: Mapping[str, Any], weights: str | os.PathLike | None = None
) -> None:
    """Check that a network has the options that are asked for, and that the weights that it starts from fit it.

    They fit a network of their architecture, and one that has a part beside which starts as none, as a refinement does.

    Args:
        network: to be trained.
        architecture: a value for each option.
        weights: of a whole model, that the training starts from.

    Raises:
        InputError: if an option is set and would have no effect, as on other networks than QTSeg, or does not fit the
            weights, or these cannot be read.
    """
    if not isinstance(network, QTSeg):
        if architecture != no_architecture():
            raise InputError(
                f"{_listed(architecture)}, but {type(network).__name__} has no form that they set; leave them out, and "
                f"in an overlay of your own write {json.dumps(no_architecture())[1:-1]}"
            )
    elif weights is not None:
        of_weights = architecture_of(weights)
        if any(architecture[name] != of_weights[name] and not _is_added(name, architecture) for name in OPTIONS):
            beside = " or ".join(f"{name} true" for name, option in OPTIONS.items() if option.addition)
            raise InputError(
                f"{_listed(architecture)}, but of the weights to start from {_listed(of_weights)}; leave all of them "
                f"out, or set beside them only {beside}"
            )


def _is_added(name: str, architecture: Mapping[str, Any]) -> bool:
    """Whether an option gives a network a part that starts as none."""
    return bool(OPTIONS[name].addition and architecture[name])


def _listed(architecture: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} is {architecture[name]!r}" for name in OPTIONS)
