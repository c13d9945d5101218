# SPDX-License-Identifier: Apache-2.0

"""Make a network faster by steps that run once, before inference or training starts."""

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

# Numbers of two options of glibc's mallopt (see malloc.h), and values above what one batch of inference needs.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MAX_FREE_BYTES, _MAX_BLOCK_BYTES = 2**29, 2**25  # older versions of glibc keep no larger blocks


def speed_up(network: nn.Module, precision: str) -> None:
    """Prepare a loaded network for fast inference: fold its batch normalization, and compute in ``precision``.

    QTSeg's weights are converted to that precision. Other networks do not convert their input, so they keep their
    weights and run under autocast.

    Args:
        network: the network, changed in place; it can no longer be trained.
        precision: one of the names in ``DTYPES``.
    """
    network.eval()
    fold_batch_norm(network)
    if isinstance(network, QTSeg):
        network.to(DTYPES[precision])
    elif precision != "float32":
        _autocast(network, DTYPES[precision])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this overload


def _autocast(network: nn.Module, dtype: torch.dtype) -> None:
    """Make a network compute in half precision, as in training and evaluation, and return its input's dtype."""
    forward = network.forward

    def autocast_forward(image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, dtype):
            return forward(image).to(image.dtype)

    network.forward = autocast_forward


def freeze_script(network: nn.Module, precision: str = "float32") -> torch.jit.ScriptModule:
    """Turn a loaded network into frozen TorchScript, which needs no Python and is the fastest form on a CPU.

    Args:
        network: the network; it is not changed.
        precision: one of the names in ``DTYPES``.

    Returns:
        A frozen module with the same inputs and outputs as the network, on the network's device.
    """
    folded = copy.deepcopy(network)
    speed_up(folded, precision)
    return torch.jit.freeze(torch.jit.script(folded))


def keep_freed_memory() -> None:
    """Make this process keep up to 512 MiB of freed CPU memory for the tensors of the next batch.

    By default glibc returns freed memory to Linux, and Linux hands it out again page by page. In a virtual machine this
    took a fifth of the inference time at 512 x 512 pixels. With other C libraries this function does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _MAX_BLOCK_BYTES)
    libc.mallopt(_TRIM_THRESHOLD, _MAX_FREE_BYTES)


def compile_network(network: nn.Module, mode: str | None) -> None:
    """Let ``torch.compile`` compile a network at its first call; on a CPU this needs a C++ compiler.

    Args:
        network: the network to use or train, changed in place; its state dict stays the same.
        mode: one of ``COMPILE_MODES``; "reduce-overhead" uses CUDA graphs. None does not compile.

    Raises:
        InputError: if ``mode`` is unknown.
    """
    if mode is None:
        return
    if mode not in COMPILE_MODES:
        raise InputError(f"compile is {mode!r}; use one of {', '.join(COMPILE_MODES)}, or leave it out")
    network.compile(mode=mode, dynamic=False)  # images are fitted to one size, so their shape is fixed
