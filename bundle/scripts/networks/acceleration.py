# SPDX-License-Identifier: Apache-2.0

"""What a network needs only once, before it infers or is trained, to be quicker from then on."""

from __future__ import annotations

import copy
import ctypes
import platform

import torch
from torch import Tensor, nn

from ..common.errors import InputError
from .folding import fold_batch_norm
from .precision import DTYPES
from .qtseg import QTSeg

__all__ = ["COMPILE_MODES", "compile_network", "freeze_script", "keep_freed_memory", "speed_up"]

COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")

# Options of glibc's mallopt, by their numbers in malloc.h, and values above what one batch of inference needs.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_AT_MOST, _LARGEST_BLOCK = 2**29, 2**25  # bytes; of larger blocks, older versions of glibc keep none


def speed_up(network: nn.Module, precision: str) -> None:
    """Make a loaded network quicker to infer with: no batch normalization is left, and it computes in ``precision``.

    QTSeg's weights are of that precision too; other networks, which do not convert what they are given, keep theirs.

    Args:
        network: the network to be used, changed in place; it can no longer be trained.
        precision: one of ``DTYPES``.
    """
    network.eval()
    fold_batch_norm(network)
    if isinstance(network, QTSeg):
        network.to(DTYPES[precision])
    elif precision != "float32":
        _autocast(network, DTYPES[precision])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub does not know it


def _autocast(network: nn.Module, dtype: torch.dtype) -> None:
    """Have a network compute in half precision, as in training and evaluation, and answer in that of its input."""
    forward = network.forward

    def in_half(image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, dtype):
            return forward(image).to(image.dtype)

    network.forward = in_half


def freeze_script(network: nn.Module, precision: str = "float32") -> torch.jit.ScriptModule:
    """Turn a loaded network into TorchScript that needs no Python: the quickest form on a CPU.

    Args:
        network: the network to be used; it stays as it is.
        precision: one of ``DTYPES``.

    Returns:
        A frozen module that takes and returns what the network does, on the network's device.
    """
    folded = copy.deepcopy(network)
    speed_up(folded, precision)
    return torch.jit.freeze(torch.jit.script(folded))


def keep_freed_memory() -> None:
    """Let this process keep up to 512 MiB of what tensors free on a CPU, for those of the next batch.

    By default glibc hands freed memory back to Linux, which brings it back page by page: in a virtual machine a fifth
    of the time of inference at 512 x 512 pixels. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    libc.mallopt(_TRIM_THRESHOLD, _KEPT_AT_MOST)


def compile_network(network: nn.Module, mode: str | None) -> None:
    """Have a network compiled at its first call, by ``torch.compile``; a CPU needs a C++ compiler for that.

    Args:
        network: the network to be used or trained, changed in place; its state dict stays as it is.
        mode: one of ``COMPILE_MODES``, of which "reduce-overhead" uses CUDA graphs; None leaves the network alone.

    Raises:
        InputError: if there is no such mode.
    """
    if mode is None:
        return
    if mode not in COMPILE_MODES:
        raise InputError(f"compile is {mode!r}; use one of {', '.join(COMPILE_MODES)}, or leave it out")
    network.compile(mode=mode, dynamic=False)  # one shape at a time: images are fitted to one size
