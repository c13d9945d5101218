# SPDX-License-Identifier: Apache-2.0

"""Weights files: read them, load them into a network, and convert those of the published release."""

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
    """Read a weights file. A file of the published QTSeg is converted.

    Args:
        path: path of the file. Only tensors and plain containers are loaded, never code.
        names: names of the weights of a network other than QTSeg. A state dict with such a name is accepted too.

    Returns:
        Tensors on the CPU, by the names of this bundle.

    Raises:
        InputError: if there is no such file, if it cannot be read safely, or if it holds something else. The message
            names what it holds.
    """
    weights = read_state_dict(path, names)
    return converted(weights, path) if is_release(weights) else weights


def load_encoder(network: nn.Module, path: PathLike) -> None:
    """Load the weights of the encoder from a file. The rest of the network keeps its values.

    Args:
        network: network with a part named ``encoder``, changed in place.
        path: file with the weights of an encoder or of a whole model, in any form that ``read_weights`` accepts.

    Raises:
        InputError: if the file does not exist, cannot be read, or does not fit the encoder. The message names the file,
            the keys and both shapes.
    """
    prefix = "encoder."
    weights = {key: value for key, value in read_weights(path).items() if key.startswith(prefix)}
    target = {key: value for key, value in network.state_dict().items() if key.startswith(prefix)}
    _check_fit(weights, target, path)
    encoder = network.get_submodule("encoder")
    encoder.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items()}, strict=True)


def load_weights(network: nn.Module, path: PathLike, *, exact: bool = False) -> list[str]:
    """Load the weights of a whole model into a network.

    A file for another number of classes fits too. The tokens, their MLPs and the last convolutions of a refinement have
    a part for each class. They then keep the values that the network has, and a warning is logged.

    A refinement has no effect at the start of a training. A file without one therefore fits a network that has one.
    The refinement then keeps its values, and this is logged too.

    Args:
        network: a QTSeg, or another network that the file belongs to. It is changed in place.
        path: file with the weights of a whole model, in any form that ``read_weights`` accepts.
        exact: whether to refuse a file that does not hold all weights of the network.

    Returns:
        The keys that were not loaded. The list is empty if all were loaded.

    Raises:
        InputError: if the file does not exist, cannot be read, or does not fit the network. The message names the file,
            the keys and both shapes.
    """
    target = network.state_dict()
    weights = read_weights(path, target)
    differ = _classes_differ(weights, target)
    if differ and exact:
        classes, expected = len(weights[TOKENS]), len(target[TOKENS])
        raise InputError(
            f"{path} is for {classes} classes and the network has {expected}; set --out_channels {classes}"
        )
    per_class = {key for key in target if _PER_CLASS.match(key)} if differ else set()
    additions = [] if exact else _additions(weights, target)
    added = {key for key in target if key.startswith(tuple(additions))}
    fresh = [key for key in target if key in per_class | added]
    shared = {key: value for key, value in weights.items() if not (differ and _PER_CLASS.match(key))}
    start = shared | {key: target[key] for key in fresh}
    _check_fit(start, target, path)
    network.load_state_dict(start, strict=True)
    for addition in additions:
        logger.info(f"{path} has no {addition.rstrip('.')}; that of the network starts without effect")
    if per_class:
        logger.warning(
            f"{path} is for {len(weights[TOKENS])} classes and the network has {len(target[TOKENS])}: "
            f"what has a part for each class, such as {TOKENS}, keeps its initialization ({len(per_class)} entries)."
        )
    return fresh


def read_state_dict(path: PathLike, names: Collection[str] = ()) -> dict[str, Tensor]:
    """Read a state dict without converting it.

    Args:
        path: path of the file.
        names: names of the weights of a network other than QTSeg, as in :py:func:`read_weights`.

    Returns:
        Tensors on the CPU, by the names in the file: those of this bundle, of the release, or of another network.

    Raises:
        InputError: if there is no such file, if it cannot be read safely, or if it holds something else.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is no file; give the path of a weights file.")
    content = load_tensors(path)
    weights = content
    if isinstance(content, Mapping):  # it may be the state of a training, of the release or of this bundle
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
    """Convert a state dict of the published QTSeg, with the path of its file in the message of an error.

    Args:
        weights: state dict of the release.
        path: path of the file, for the message.

    Raises:
        InputError: if a key is unknown or missing. The message names it and the file.
    """
    try:
        return convert_release(weights)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _additions(weights: Collection[str], target: Collection[str]) -> list[str]:
    """Return the prefixes of additional parts, such as a refinement, that only the network has, not the weights."""
    prefixes = [option.addition for option in OPTIONS.values() if option.addition]
    return [prefix for prefix in prefixes if any_begins(target, prefix) and not any_begins(weights, prefix)]


def _classes_differ(weights: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> bool:
    """Return whether the tokens differ in their number only, which is the number of classes."""
    if TOKENS not in weights or TOKENS not in target:
        return False
    theirs, ours = weights[TOKENS], target[TOKENS]
    return theirs.shape[1:] == ours.shape[1:] and len(theirs) != len(ours)


def _check_fit(weights: Mapping[str, Tensor], target: Mapping[str, Tensor], path: PathLike) -> None:
    """Refuse weights whose keys or shapes are not those of the state dict ``target`` of the network."""

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
