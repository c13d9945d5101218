# SPDX-License-Identifier: Apache-2.0

"""The models of a cross-validation's folds, used together."""

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
    """Several networks as one, whose probabilities are the mean of theirs.

    :py:class:`monai.engines.EnsembleEvaluator` takes the mean of what each network says of a whole image, which an
    image far larger than the networks' window has no memory for; as one network they go through any inferer.

    Args:
        networks: that take and return the same.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: as for each network.

        Returns:
            (B, T, H, W) logarithms of mean probabilities, float32, which softmax takes for logits.
        """
        each = torch.stack([network(image).float().log_softmax(dim=1) for network in self.networks])
        return each.logsumexp(dim=0) - math.log(len(self.networks))


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
        network: a network of their kind; it stays as it is.
        folder: a cross-validation's, with ``fold_0/model.pt``, ``fold_1/model.pt``, ...; folds that are not done are
            left aside.
        checkpoint: whose settings are used.
        device: where they will run.
        precision: one of :py:data:`..networks.precision.DTYPES`.
        network_name: what the config calls the network.

    Returns:
        The networks, in the order of the folds.

    Raises:
        InputError: if there are fewer than two models, they were trained with different settings, or ``checkpoint`` is
            none of theirs.
    """
    folds = _models(folder)
    if not any(os.path.realpath(checkpoint) == os.path.realpath(path) for path in folds):
        raise InputError(
            f"{checkpoint} is no model of {folder}, whose settings an ensemble has; leave out --ckpt_dir and "
            "--checkpoint, and name the cross-validation's folder by --cross_validation_dir"
        )
    settings = [read_settings(path.parent) for path in folds]
    for name in (field.name for field in FIELDS if field.as_trained):
        for path, each in zip(folds, settings):
            if each[name] != settings[0][name]:
                raise InputError(
                    f"{path} was trained with {name} {each[name]}, but {folds[0]} with {settings[0][name]}; use models "
                    "of one cross-validation"
                )
    other = [str(path) for path, each in zip(folds, settings) if each["cleaning"] != settings[0]["cleaning"]]
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
    """The folder of the first model, whose settings all of them share.

    Args:
        folder: a cross-validation's.

    Raises:
        InputError: if there are fewer than two models.
    """
    return str(_models(folder)[0].parent)


def digests(folder: str | os.PathLike) -> list[str]:
    """SHA-256 of the models.

    Args:
        folder: a cross-validation's.

    Raises:
        InputError: if there are fewer than two models.
    """
    return [file_digest(path) for path in _models(folder)]


def _models(folder: str | os.PathLike) -> list[Path]:
    done = sorted(Path(folder).glob("fold_*/done"), key=lambda path: int(path.parent.name.removeprefix("fold_")))
    if len(done) < 2:
        raise InputError(
            f"{folder} has {len(done)} model(s) of folds that are done; give --cross_validation_dir the folder of a "
            "cross-validation"
        )
    return [path.parent / "model.pt" for path in done]
