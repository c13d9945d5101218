# SPDX-License-Identifier: Apache-2.0

"""Loading of the weights that the knobs of a run name."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
from torch import nn

from ..common.errors import InputError
from ..common.files import user_path
from ..networks.qtseg import OPTIONS
from .model_schema import PUBLISHED
from .model_settings import overlays_of, settings_of
from .state_dicts import load_encoder, load_weights

__all__ = ["load_trained", "start_from"]

_logger = logging.getLogger("qtseg")


def start_from(
    network: nn.Module, *, weights: str | os.PathLike | None = None, encoder_weights: str | os.PathLike | None = None
) -> None:
    """Load the weights that a training starts from. Without a file the network keeps its random initialization.

    Args:
        network: network to train, changed in place.
        weights: file of a whole model, from this bundle or from the published release. If it has another number of
            classes, the parts with one entry for each class, such as the tokens, keep their random initialization. So
            does a refinement that the file does not have. Both are logged.
        encoder_weights: file that holds an encoder, from this bundle or from the published release.

    Raises:
        InputError: if both files are set, or if a file does not fit the network.
    """
    if weights is not None and encoder_weights is not None:
        raise InputError("weights and encoder_weights are both set; a whole model holds an encoder already: drop one")
    if weights is not None:
        load_weights(network, user_path(weights))
    if encoder_weights is not None:
        load_encoder(network, user_path(encoder_weights))
    if idist.get_rank() == 0:
        source = weights or (encoder_weights and f"the encoder of {encoder_weights}") or "random weights"
        settings = settings_of(weights)
        if settings is not PUBLISHED:
            source = f"{source} ({_summary(settings)})"
        elif weights is not None:
            source = f"{source}; its images are not on record, so no evaluation can tell when it scores one"
        _logger.info(f"start:    {source}")


def load_trained(network: nn.Module, path: str | os.PathLike, network_name: str = "qtseg") -> None:
    """Load a trained model for evaluation or inference. Every weight of the network must be in the file.

    Args:
        network: network to use, changed in place.
        path: file of the model, from this bundle or from the published release.
        network_name: name of the network in the config.

    Raises:
        InputError: if there is no such file, if the model belongs to a network of another name, or if it does not fit
            the network, even if only the number of classes differs.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} is not there; train a model first, or name the folder of one by --ckpt_dir")
    settings = settings_of(path)
    trained = settings["network_name"]
    if trained != network_name:
        cure = "add" if network_name == "qtseg" else "leave out" if trained == "qtseg" else "exchange the overlay for"
        (overlay,) = overlays_of(network_name if cure == "leave out" else trained)
        cure += f" configs/{overlay}.json in --config_file"
        raise InputError(f"{path} is a model of {trained}, not of {network_name}; {cure}")
    load_weights(network, path, exact=True)
    if settings is not PUBLISHED and idist.get_rank() == 0:
        _logger.info(f"model:    {path} ({_summary(settings)})")


def _summary(settings: Mapping[str, Any]) -> str:
    """Return the settings that distinguish a model from others, as words for the log."""
    height, width = settings["spatial_size"]
    parts = [option.words(settings[name]) for name, option in OPTIONS.items() if settings[name]]
    options = f" with {', '.join(parts)}" if parts else ""
    count = sum(image["part"] == "train" for image in settings["images"].values())
    return f"{settings['network_name']}{options}, {height} x {width}, trained on {count} images"
