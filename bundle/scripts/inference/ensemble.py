# SPDX-License-Identifier: Apache-2.0

"""Ensembles: the models of all folds of a cross-validation, used together."""

from __future__ import annotations

import copy
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.loading import load_trained
from ..checkpoints.model_schema import FIELDS
from ..checkpoints.model_settings import read_settings
from ..common.errors import InputError
from ..common.files import file_digest
from ..networks.acceleration import speed_up

__all__ = ["Ensemble", "digests", "first_fold", "load_folds"]

_logger = logging.getLogger("qtseg")


class Ensemble(nn.Module):
    """A network whose probabilities are the mean of the probabilities of several networks.

    :py:class:`monai.engines.EnsembleEvaluator` is not used, as it takes the mean of the outputs for a whole image. An
    image far larger than the networks' window would need too much memory. As a single network, the ensemble works with
    every inferer.

    Args:
        networks: networks that take inputs of the same form and return outputs of the same form.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: a batch of images, as for a single network.

        Returns:
            (B, T, H, W) float32 logarithms of the mean probabilities. They can be used as logits, as softmax turns them
            into the mean probabilities.
        """
        log_probabilities = torch.stack([network(image).float().log_softmax(dim=1) for network in self.networks])
        return log_probabilities.logsumexp(dim=0) - math.log(len(self.networks))


def load_folds(
    network: nn.Module,
    folder: str | os.PathLike,
    *,
    checkpoint: str | os.PathLike,
    device: torch.device,
    precision: str,
    network_name: str = "qtseg",
) -> list[nn.Module]:
    """Load the model of every fold, ready for inference.

    Args:
        network: a network of the same architecture as the models. It is copied and not changed.
        folder: path of the cross-validation's folder, with ``fold_0/model.pt``, ``fold_1/model.pt``, ... Folds whose
            training has not ended are left out.
        checkpoint: path of the model of the folds whose settings are used.
        device: device on which the networks will run.
        precision: one of :py:data:`..networks.precision.DTYPES`.
        network_name: name of the network in the config.

    Returns:
        The networks, in the order of the folds.

    Raises:
        InputError: if there are fewer than two models, if they were trained with different settings, or if
            ``checkpoint`` is not one of them.
    """
    folds = _models(folder)
    if not any(os.path.realpath(checkpoint) == os.path.realpath(path) for path in folds):
        raise InputError(
            f"{checkpoint} is no model of {folder}, whose settings an ensemble has; leave out --ckpt_dir and "
            "--checkpoint, and name the cross-validation's folder by --cross_validation_dir"
        )
    settings = [read_settings(path.parent) for path in folds]
    for name in (field.name for field in FIELDS if field.as_trained):
        for path, fold_settings in zip(folds, settings):
            if fold_settings[name] != settings[0][name]:
                raise InputError(
                    f"{path} was trained with {name} {fold_settings[name]}, but {folds[0]} with {settings[0][name]}; "
                    "use models of one cross-validation"
                )
    cleaning = settings[0]["cleaning"]
    other = [str(path) for path, fold_settings in zip(folds, settings) if fold_settings["cleaning"] != cleaning]
    if other:
        _logger.warning(f"ensemble: masks are cleaned as those of {folds[0]}; {other[0]} has other settings for it")
    networks = []
    for path in folds:
        fold = copy.deepcopy(network)
        load_trained(fold, path, network_name)
        speed_up(fold, precision)
        networks.append(fold.to(device))
    _logger.info(f"ensemble: {len(networks)} models of {folder}")
    return networks


def first_fold(folder: str | os.PathLike) -> str:
    """Return the folder of the first model of a cross-validation. All its models have the same settings.

    Args:
        folder: path of the cross-validation's folder.

    Raises:
        InputError: if there are fewer than two models.
    """
    return str(_models(folder)[0].parent)


def digests(folder: str | os.PathLike) -> list[str]:
    """Return the SHA-256 digests of the models of a cross-validation.

    Args:
        folder: path of the cross-validation's folder.

    Raises:
        InputError: if there are fewer than two models.
    """
    return [file_digest(path) for path in _models(folder)]


def _models(folder: str | os.PathLike) -> list[Path]:
    """Return the paths of the models of all folds whose training has ended, in the order of the folds."""
    done = sorted(Path(folder).glob("fold_*/done"), key=lambda path: int(path.parent.name.removeprefix("fold_")))
    if len(done) < 2:
        raise InputError(
            f"{folder} has {len(done)} model(s) of folds that are done; give --cross_validation_dir the folder of a "
            "cross-validation"
        )
    return [path.parent / "model.pt" for path in done]
