# SPDX-License-Identifier: Apache-2.0

"""Files of weights: read them, start a network from them, convert those of the published release."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from ..common.errors import InputError
from ..networks.options import any_begins
from ..networks.qtseg import OPTIONS
from .published_names import convert_release, is_release, listed
from .tensor_files import check_tensors, load_tensors

__all__ = ["convert_release", "read_weights", "load_encoder", "load_weights"]

logger = logging.getLogger("qtseg")

PathLike = str | os.PathLike[str]

TOKENS = "decoder.tokens"
_PER_CLASS = re.compile(r"decoder\.(tokens$|stages\.\d+\.token_mlps\.)|refinement\.(merge|correct)\.")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "frequencies")


def read_weights(path: PathLike, names: Collection[str] = ()) -> dict[str, Tensor]:
    """Read a weights file: a state dict of ours, or a file of the published QTSeg, which is converted.

    Args:
        path: the file; only tensors and plain containers are loaded, never code.
        names: of the weights of a network that is no QTSeg, whose state dicts are taken too.

    Returns:
        Tensors by our names, on the CPU.

    Raises:
        InputError: if there is no such file, it cannot be read safely, or it holds something else; says what.
    """
    weights = read_state_dict(path, names)
    return converted(weights, path) if is_release(weights) else weights


def load_encoder(network: nn.Module, path: PathLike) -> None:
    """Start the encoder of ``network`` from a file; the rest keeps its values.

    Args:
        network: a network with a part named ``encoder``.
        path: the weights of an encoder or of a whole model, in any form that ``read_weights`` takes.

    Raises:
        InputError: if the file is not there, cannot be read, or does not fit; names the file, the keys and both shapes.
    """
    prefix = "encoder."
    weights = {key: value for key, value in read_weights(path).items() if key.startswith(prefix)}
    target = {key: value for key, value in network.state_dict().items() if key.startswith(prefix)}
    _check_fit(weights, target, path)
    encoder = network.get_submodule("encoder")
    encoder.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items()}, strict=True)


def load_weights(network: nn.Module, path: PathLike, *, exact: bool = False) -> list[str]:
    """Start ``network`` from a whole model.

    A file for another number of classes fits too: the tokens, their MLPs and the last convolutions of a refinement,
    which have a part for each class, then keep the values that the network has, and a warning is logged. A file
    without a part that starts as none, such as a refinement, fits a network that has one, which keeps its values as
    well; that is logged, too.

    Args:
        network: a QTSeg network, or another that the file is of.
        path: the weights of a whole model, in any form that ``read_weights`` takes.
        exact: refuse a file that leaves a part of the network as it was.

    Returns:
        The keys that were not loaded; empty if all were.

    Raises:
        InputError: if the file is not there, cannot be read, or does not fit; names the file, the keys and both shapes.
    """
    target = network.state_dict()
    weights = read_weights(path, target)
    differ = _classes_differ(weights, target)
    if differ and exact:
        found, expected = len(weights[TOKENS]), len(target[TOKENS])
        raise InputError(f"{path} is for {found} classes and the network has {expected}; set --out_channels {found}")
    per_class = {key for key in target if _PER_CLASS.match(key)} if differ else set()
    additions = [] if exact else _additions(weights, target)
    added = {key for key in target if key.startswith(tuple(additions))}
    fresh = [key for key in target if key in per_class | added]
    shared = {key: value for key, value in weights.items() if not (differ and _PER_CLASS.match(key))}
    start = shared | {key: target[key] for key in fresh}
    _check_fit(start, target, path)
    network.load_state_dict(start, strict=True)
    for addition in additions:
        logger.info(f"{path} has no {addition.rstrip('.')}; that of the network starts as none")
    if per_class:
        logger.warning(
            f"{path} is for {len(weights[TOKENS])} classes and the network has {len(target[TOKENS])}: "
            f"what has a part for each class, such as {TOKENS}, keeps its initialization ({len(per_class)} entries)."
        )
    return fresh


def read_state_dict(path: PathLike, names: Collection[str] = ()) -> dict[str, Tensor]:
    """Read a state dict, ours or the release's, without converting it, or one that has some of the ``names``."""
    if not Path(path).is_file():
        raise InputError(f"{path} is no file; give the path of a weights file.")
    content = load_tensors(path)
    weights = content
    if isinstance(content, Mapping):  # the training state of the release, or of ours
        parts = content.get("parts")
        state = parts if isinstance(parts, Mapping) else content
        weights = state.get("state_dict_model", state.get("network", state))
    if not isinstance(weights, Mapping):
        held = f"an object of type {type(weights).__name__}"
    elif not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()):
        held = f"a dictionary that is no state dict, with the keys {listed(list(weights))}"
    elif not (is_release(weights) or any(key.startswith(("encoder.", "decoder.")) or key in names for key in weights)):
        held = f"a state dict with the keys {listed(list(weights))}" if weights else "an empty state dict"
    else:
        check_tensors(weights, path)
        return dict(weights)
    raise InputError(
        f"{path} holds {held}; expected the weights of this bundle's QTSeg or of the published one, or those of "
        "another network with its overlay of configs/networks"
    )


def converted(weights: Mapping[str, Tensor], path: PathLike) -> dict[str, Tensor]:
    try:
        return convert_release(weights)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _additions(weights: Collection[str], target: Collection[str]) -> list[str]:
    """How names begin of parts that the network has and the weights have not, and that start as none."""
    additions = [option.addition for option in OPTIONS.values() if option.addition]
    return [each for each in additions if any_begins(target, each) and not any_begins(weights, each)]


def _classes_differ(weights: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> bool:
    """Tell whether the tokens differ in number, and in nothing else."""
    if TOKENS not in weights or TOKENS not in target:
        return False
    theirs, ours = weights[TOKENS], target[TOKENS]
    return theirs.shape[1:] == ours.shape[1:] and len(theirs) != len(ours)


def _check_fit(weights: Mapping[str, Tensor], target: Mapping[str, Tensor], path: PathLike) -> None:
    """Refuse weights that are not, key by key and shape by shape, those of ``target``."""

    def shape(state: Mapping[str, Tensor], key: str) -> str:
        return str(tuple(state[key].shape)) if key in state else "missing"

    faults = [
        f"{key} is {shape(weights, key)} in the file and {shape(target, key)} in the network"
        for key in {**target, **weights}
        if shape(weights, key) != shape(target, key)
    ]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(
            f"{path} does not fit the network: {'; '.join(faults[:3])}{more}. "
            "Build the network with the settings that the weights were trained with."
        )
