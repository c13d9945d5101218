# SPDX-License-Identifier: Apache-2.0

"""Convert a checkpoint of the published QTSeg: ``python -m scripts.checkpoints SOURCE TARGET``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..common.errors import InputError
from ..common.files import replacing
from .published_names import is_release
from .state_dicts import BUFFERS, TOKENS, converted, read_state_dict

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``python -m scripts.checkpoints``, which converts a weights file of the published QTSeg.

    Args:
        arguments: words of the command line without the program's name. By default those of the process are taken.

    Returns:
        The exit status: 0, or 1 after an error, which is printed to stderr in one sentence.
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.checkpoints",
        description="Convert a weights file of the published QTSeg into a state dict of this bundle's.",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="weights file of the published QTSeg")
    parser.add_argument("target", type=Path, metavar="TARGET", help="file to write")
    parser.add_argument("--force", action="store_true", help="overwrite TARGET")
    args = parser.parse_args(arguments)
    try:
        summary = _convert_file(args.source, args.target, args.force)
    except (OSError, InputError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"{args.target}: {summary}")
    return 0


def _convert_file(source: Path, target: Path, force: bool) -> str:
    """Convert the file ``source``, write the weights to ``target``, and return a summary of them."""
    if target.exists() and not force:
        raise InputError(f"{target} exists; choose another TARGET, or overwrite it with --force.")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is no folder; make it first.")
    weights = read_state_dict(source)
    if not is_release(weights):
        raise InputError(f"{source} has this bundle's names already; use it as it is.")
    weights = converted(weights, source)
    summary = _summary(weights)
    with replacing(target) as partial:
        torch.save(weights, partial)
    return summary


def _summary(weights: Mapping[str, Tensor]) -> str:
    parameters = sum(value.numel() for key, value in weights.items() if not key.endswith(BUFFERS))
    width, channels = weights["encoder.stem.0.conv.weight"].shape[:2]
    sizes = f"{parameters:,} parameters, {channels} input channels, width {width}"
    if TOKENS not in weights:
        return f"encoder, {sizes}"
    bridge = "with" if any(key.startswith("bridge.") for key in weights) else "without"
    return f"whole model {bridge} bridge, {sizes}, {len(weights[TOKENS])} classes"


if __name__ == "__main__":
    sys.exit(main())
