# SPDX-License-Identifier: Apache-2.0

"""Golden numbers of the published QTSeg, and the rule that fills a network so that they can be reproduced.

``data/golden.json`` holds outputs of the published network (release v0.3.1) and ``data/release_keys.json`` the keys
and shapes of its state dict at the default setting. No weights are needed: every entry is filled from its key.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["golden_cases", "release_shapes", "filled_release"]

DATA = Path(__file__).parent / "golden_data"
DEFAULT_FEATURES, DEFAULT_MLP_DIM = 16, 2048


def golden_cases() -> list[dict[str, Any]]:
    """Read the golden cases."""
    return json.loads((DATA / "golden.json").read_text())


def release_shapes(
    *,
    in_channels: int = 3,
    num_tokens: int = 2,
    features: int = 16,
    depths: Sequence[int] = (1, 2, 3),
    mlp_dim: int = 2048,
    bridge: bool = True,
) -> dict[str, tuple[int, ...]]:
    """List keys and shapes of a release state dict at any setting.

    The listed default setting is the template: block 0 of a stage stands for all of its blocks, token 0 for all
    tokens, and widths, which are multiples of 16 there, grow with ``features``.
    """
    template = json.loads((DATA / "release_keys.json").read_text())

    def resized(shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(
            mlp_dim if size == DEFAULT_MLP_DIM else size // 16 * features if size % DEFAULT_FEATURES == 0 else size
            for size in shape
        )

    def copies(key: str) -> Iterator[str]:
        """The keys that a template key stands for; none for a block or token beyond the first."""
        block = re.match(r"(mask_decoder\.DMAB_s(\d)\.layers\.)(\d+)(\..*)", key)
        token = re.match(r"(mask_decoder\.MLP_s\d\.)(\d+)(\..*)", key)
        if block:
            count = depths[int(block[2])] if block[3] == "0" else 0
            yield from (f"{block[1]}{index}{block[4]}" for index in range(count))
        elif token:
            count = num_tokens if token[2] == "0" else 0
            yield from (f"{token[1]}{index}{token[3]}" for index in range(count))
        elif bridge or not key.startswith("bridge."):
            yield key

    shapes = {copy: resized(shape) for key, shape in template.items() for copy in copies(key)}
    shapes["image_encoder.conv_0.conv.weight"] = (features, in_channels, 3, 3)
    shapes["mask_decoder.mask_tokens.weight"] = (num_tokens, 16 * features)
    return shapes


def filled_release(**setting: Any) -> dict[str, Tensor]:
    """Build a release state dict by the fill rule; for the settings see ``release_shapes``."""
    return {key: _filled(key, shape) for key, shape in release_shapes(**setting).items()}


def _filled(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    value = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF).standard_normal(shape)
    if key.endswith("running_var"):
        value = 0.5 + np.abs(value)
    elif key.endswith("running_mean"):
        value = 0.1 * value
    elif key.endswith(".gamma"):
        value = np.full(shape, 0.5)
    elif key.endswith(("positional_encoding_gaussian_matrix", "mask_tokens.weight")):
        pass
    elif len(shape) >= 2:
        value = value / math.sqrt(math.prod(shape[1:]))
    elif key.endswith(".bias"):
        value = 0.05 * value
    else:
        value = 1 + 0.1 * value
    return torch.from_numpy(value.astype(np.float32))
