# SPDX-License-Identifier: Apache-2.0

"""Files of tensors, which can come from anywhere: nothing in them is run, and none fills the memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..common.errors import InputError
from .published_names import listed

__all__ = ["check_tensors", "load_tensors"]


def load_tensors(path: str | os.PathLike[str]) -> Any:
    """What a file that PyTorch has saved holds: tensors, and plain containers of them.

    Args:
        path: the file.

    Raises:
        InputError: if it cannot be read so.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}; allow it.") from error
    except Exception as error:  # a damaged or hostile pickle can lead to anything
        raise InputError(
            f"{path} cannot be read as weights: it is damaged, no PyTorch file, or holds Python objects beside "
            "tensors, which could run code; save the state dict alone, with torch.save(network.state_dict(), path)."
        ) from error


def check_tensors(weights: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Refuse tensors that take more memory than their file, hold no values, or values that are no numbers.

    Args:
        weights: what was loaded.
        path: of the file.

    Raises:
        InputError: naming such a tensor.
    """
    cure = "save the state dict of a trained network, with torch.save(network.state_dict(), path)."
    for key, value in weights.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
            raise InputError(f"{path} holds {key} as no plain tensor; {cure}")
    found, named = os.path.getsize(path), sum(value.numel() * value.element_size() for value in weights.values())
    if named > found:
        raise InputError(f"{path} has {found} bytes, but names tensors of {named}; {cure}")
    wrong = [key for key, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if wrong:
        raise InputError(f"{path} holds {listed(wrong)} with values that are NaN or infinite; use an earlier one.")


def _check_archive(path: str | os.PathLike[str]) -> None:
    """Refuse what PyTorch has not packed: it stores tensors as they are, and unpacks all that is compressed."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is a compressed archive")
    if sum(entry.file_size for entry in entries) > os.path.getsize(path):
        raise ValueError("its entries overlap")
