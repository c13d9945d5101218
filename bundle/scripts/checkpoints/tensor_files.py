# SPDX-License-Identifier: Apache-2.0

"""Reading of tensor files. They can come from anywhere, so no code in them is run, and none can fill the memory."""

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
    """Read a file that PyTorch has saved and that holds only tensors and plain containers.

    Args:
        path: path of the file.

    Returns:
        The content of the file, with tensors on the CPU.

    Raises:
        InputError: if the file cannot be opened or is damaged, or if it holds other Python objects.
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
    """Refuse tensors that need more memory than their file has, that hold no values, or whose values are not finite.

    Args:
        weights: tensors that were loaded, by name.
        path: path of the file.

    Raises:
        InputError: if there is such a tensor. The message names it, or the memory that the tensors need.
    """
    cure = "save the state dict of a trained network, with torch.save(network.state_dict(), path)."
    for key, value in weights.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
            raise InputError(f"{path} holds {key}, which is no plain tensor; {cure}")
    size, needed = os.path.getsize(path), sum(value.numel() * value.element_size() for value in weights.values())
    if needed > size:
        raise InputError(f"{path} has {size} bytes, but names tensors of {needed}; {cure}")
    non_finite = [key for key, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if non_finite:
        raise InputError(f"{path} holds {listed(non_finite)} with values that are NaN or infinite; use an earlier one.")


def _check_archive(path: str | os.PathLike[str]) -> None:
    """Refuse archives that PyTorch has not written.

    PyTorch stores tensors without compression, but would unpack compressed entries, which could fill the memory.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is a compressed archive")
    if sum(entry.file_size for entry in entries) > os.path.getsize(path):
        raise ValueError("its entries overlap")
