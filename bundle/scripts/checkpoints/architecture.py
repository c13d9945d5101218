# SPDX-License-Identifier: Apache-2.0

"""The options of QTSeg's architecture that a run uses: from its knobs, from its first weights, or as published.

The options are the rows of :py:data:`..networks.qtseg.OPTIONS`. An architecture is a dictionary with a value for each
option by its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import user_path
from ..networks.qtseg import OPTIONS, QTSeg
from .model_schema import PUBLISHED
from .state_dicts import read_weights

__all__ = ["architecture_of", "build_qtseg", "check_architecture", "choose_architecture", "no_architecture"]


def architecture_of(
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the architecture that the weights of a network have.

    Args:
        weights: file with the weights of a whole model, from this bundle or from the published release.
        encoder_weights: file with the weights of an encoder. It is only read if ``weights`` is None.
        settings: settings of the model that a training continues. They are only used without weights.

    Returns:
        A value for each option. Without weights and settings, these are the published values.

    Raises:
        InputError: if a file cannot be read, or if it holds something other than weights.
    """
    path = weights if weights is not None else encoder_weights
    if path is not None:
        names = read_weights(user_path(path))
        return {name: option.value_in(names) for name, option in OPTIONS.items()}
    return {name: (settings or PUBLISHED)[name] for name in OPTIONS}


def no_architecture() -> dict[str, Any]:
    """Return the values of QTSeg's options for a network of another kind: None or False for each option."""
    return {name: option.absent for name, option in OPTIONS.items()}


def choose_architecture(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Read the options of the architecture from a config, and check them. A config names this function.

    Args:
        defaults: a value for each option. It is used if the config does not name the option.

    Returns:
        A value for each option. For a network of another kind, each value is None or False.

    Raises:
        InputError: if an option has a wrong value. The message names the first such knob.
        RuntimeError: if no config calls this function.
    """
    config = calling_parser()
    values = {name: config.get_parsed_content(name) if name in config else defaults[name] for name in OPTIONS}
    if None in values.values():  # the overlay of another network may be older than an option, and not name it
        values = {name: OPTIONS[name].absent if value == defaults[name] else value for name, value in values.items()}
    return {name: option.checked(values[name]) for name, option in OPTIONS.items()}


def build_qtseg(architecture: Mapping[str, Any], in_channels: int, out_channels: int, **settings: Any) -> QTSeg:
    """Build a QTSeg with an architecture.

    Args:
        architecture: a value for each option.
        in_channels: number of channels of the image.
        out_channels: number of classes, with the background.
        settings: other arguments of :py:class:`..networks.qtseg.QTSeg`.

    Raises:
        InputError: if the architecture belongs to a network of another kind.
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
    """Check that a network has the options of an architecture, and that its first weights fit the network.

    Weights fit a network of the same architecture. They also fit a network with an additional part that has no effect
    at the start of the training, such as a refinement.

    Args:
        network: network to train.
        architecture: a value for each option.
        weights: file with the weights of a whole model that the training starts from.

    Raises:
        InputError: if an option is set on a network other than QTSeg, where it would have no effect; if the
            architecture does not fit the weights; or if the weights cannot be read.
    """
    if not isinstance(network, QTSeg):
        if architecture != no_architecture():
            raise InputError(
                f"{_listed(architecture)}, but {type(network).__name__} has no such options; leave them out, and "
                f"in an overlay of your own write {json.dumps(no_architecture())[1:-1]}"
            )
    elif weights is not None:
        of_weights = architecture_of(weights)
        if any(architecture[name] != of_weights[name] and not _is_added(name, architecture) for name in OPTIONS):
            added = [(name, value) for name, option in OPTIONS.items() if option.addition for value in option.others]
            additions = " or ".join(f"--{name} {str(value).lower()}" for name, value in added)
            raise InputError(
                f"{_listed(architecture)}, but in the weights to start from {_listed(of_weights)}; leave all of them "
                f"out, or add only {additions}"
            )


def _is_added(name: str, architecture: Mapping[str, Any]) -> bool:
    """Return whether an option adds a part to the network that has no effect at the start of the training."""
    return bool(OPTIONS[name].addition) and architecture[name] != OPTIONS[name].default


def _listed(architecture: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} is {architecture[name]!r}" for name in OPTIONS)
