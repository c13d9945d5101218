# SPDX-License-Identifier: Apache-2.0

"""The names of weights in the published QTSeg (release v0.3.1), and the names of the same weights in this bundle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..common.errors import InputError

__all__ = ["convert_release", "is_release", "listed"]

Names = dict[str, str]  # release name -> our name


def convert_release(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert a state dict of the published QTSeg into one of this bundle.

    The model may have any width, depths, heads, number of classes and input channels. It may be a whole model with or
    without the bridge, or an encoder alone, whose names may lack the prefix ``image_encoder.``. Shapes are not checked
    here: ``load_state_dict`` checks them.

    Args:
        state_dict: state dict of the release, or a dictionary that holds it as ``state_dict_model``.

    Returns:
        The same tensors by the names of this bundle. They are those of the encoder alone if the file has no others.

    Raises:
        InputError: if a key is unknown or missing. The message names it.
    """
    weights = state_dict.get("state_dict_model", state_dict)
    names = _names(weights)
    missing = [key for key in names if key not in weights]
    unknown = [key for key in weights if key not in names]
    faults = [f"lacks {listed(missing)}"] * bool(missing) + [f"has the unknown {listed(unknown)}"] * bool(unknown)
    if faults:
        raise InputError(
            f"the release state dict {' and '.join(faults)}; only a whole model or a whole encoder can be converted."
        )
    return {ours: weights[theirs] for theirs, ours in names.items()}


def is_release(weights: Iterable[str]) -> bool:
    """Return whether a state dict is one of the published QTSeg, which its keys show.

    Args:
        weights: the state dict, or the keys of it.
    """
    return bool({key.split(".")[0] for key in weights} & {"image_encoder", "mask_decoder", "conv_0"})


def listed(keys: Sequence[Any], limit: int = 3) -> str:
    """Join the first keys of a list for a message.

    Args:
        keys: all keys.
        limit: how many keys are named; of the others only the number is.
    """
    shown = ", ".join(repr(key) for key in keys[:limit])
    return f"{shown} and {len(keys) - limit} more" if len(keys) > limit else shown


def _nest(parts: Mapping[str, tuple[str, Names]]) -> Names:
    """Join tables of names. ``parts`` holds, by the prefix of the release, our prefix and the table of the rest."""
    return {
        f"{theirs}.{their_rest}": f"{ours}.{our_rest}"
        for theirs, (ours, names) in parts.items()
        for their_rest, our_rest in names.items()
    }


# Layers.
_LAYER: Names = {"weight": "weight", "bias": "bias"}
_NORM: Names = {name: name for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
_CONV: Names = {"conv.weight": "conv.weight"} | _nest({"bn": ("norm", _NORM)})
_CONV_TRANSPOSE: Names = {"conv_transpose.weight": "conv.weight"} | _nest({"bn": ("norm", _NORM)})

# Encoder.
_BOTTLENECK = _nest({"cv1": ("conv1", _CONV), "cv2": ("conv2", _CONV)})
_C2F_1 = _nest({"cv1": ("split", _CONV), "cv2": ("merge", _CONV), "m.0": ("bottlenecks.0", _BOTTLENECK)})
_C2F_2 = _C2F_1 | _nest({"m.1": ("bottlenecks.1", _BOTTLENECK)})
_SPPF = _nest({"cv1": ("reduce", _CONV), "cv2": ("merge", _CONV)})
_ENCODER = _nest(
    {
        "conv_0": ("encoder.stem.0", _CONV),
        "conv_1": ("encoder.stem.1", _CONV),
        "c2f_2": ("encoder.stem.2", _C2F_1),
        "conv_3": ("encoder.p3.0", _CONV),
        "c2f_4": ("encoder.p3.1", _C2F_2),
        "conv_5": ("encoder.p4.0", _CONV),
        "c2f_6": ("encoder.p4.1", _C2F_2),
        "conv_7": ("encoder.p5.0", _CONV),
        "c2f_8": ("encoder.p5.1", _C2F_1),
        "sppf_9": ("encoder.p5.2", _SPPF),
        "c2f_12": ("encoder.n4", _C2F_1),
        "c2f_15": ("encoder.s0", _C2F_1),
        "conv_16": ("encoder.s0_down", _CONV),
        "c2f_18": ("encoder.s1", _C2F_1),
        "conv_19": ("encoder.s1_down", _CONV),
        "c2f_21": ("encoder.s2", _C2F_1),
    }
)

# Bridge: part j of level i comes from level j. It is upsampled if level j is coarser than level i.
_BRIDGE = _nest(
    {
        f"bridge.neck_{level}_{source}": (
            f"bridge.sf{level}.from_s{source}",
            _CONV_TRANSPOSE if source > level else _CONV,
        )
        for level in range(3)
        for source in range(3)
    }
)

# Decoder.
_ATTENTION = _nest(
    {
        "q_proj": ("query", _LAYER),
        "k_proj": ("key", _LAYER),
        "v_proj": ("value", _LAYER),
        "out_proj": ("out", _LAYER),
    }
)
_BLOCK = _nest(
    {
        "dm_attention.spatial_attention": ("spatial_attention", {"cv1.weight": "conv.weight"}),
        "dm_attention.channel_attention": ("channel_attention", {"gamma": "gamma"}),
        "dm_attention.spatial_token_mix_attention": ("tokens_to_spatial", _ATTENTION),
        "dm_attention.channel_token_mix_attention": ("tokens_to_channel", _ATTENTION),
        "dm_attention.token_layernorm": ("attention_norm", _LAYER),
        "token_mlp.lin1": ("mlp.linear1", _LAYER),
        "token_mlp.lin2": ("mlp.linear2", _LAYER),
        "token_layernorm": ("mlp_norm", _LAYER),
        "feature_mix": ("features_to_tokens", _ATTENTION),
    }
)
_TOKEN_MLP = _nest({f"layers.{index}": (f"linear{index + 1}", _LAYER) for index in range(3)})
_UPSAMPLE = _nest({"0": ("upsample.0.conv", _LAYER), "1": ("upsample.0.norm", _LAYER)})
_UPSAMPLE_TWICE = _UPSAMPLE | _nest({"3": ("upsample.1.conv", _LAYER), "4": ("upsample.1.norm", _LAYER)})


def _stage(stage: int, depth: int, num_tokens: int) -> Names:
    attention, ours = f"mask_decoder.DMAB_s{stage}", f"decoder.stages.{stage}"
    return _nest(
        {f"{attention}.layers.{block}": (f"{ours}.blocks.{block}", _BLOCK) for block in range(depth)}
        | {
            f"mask_decoder.MLP_s{stage}.{token}": (f"{ours}.token_mlps.{token}", _TOKEN_MLP)
            for token in range(num_tokens)
        }
        | {
            f"{attention}.final_attn_token_to_image": (f"{ours}.tokens_to_features", _ATTENTION),
            f"{attention}.norm_final_attn": (f"{ours}.token_norm", _LAYER),
            f"mask_decoder.PE_s{stage}": (
                f"{ours}.positions",
                {"positional_encoding_gaussian_matrix": "frequencies"},
            ),
            f"mask_decoder.SUB_s{stage}": (ours, _UPSAMPLE if stage else _UPSAMPLE_TWICE),
        }
    )


def _names(keys: Iterable[str]) -> Names:
    """Return all names of a complete state dict of this kind. Depths and number of classes follow from ``keys``."""
    parts = {key.split(".")[0] for key in keys}
    encoder = {f"image_encoder.{theirs}": ours for theirs, ours in _ENCODER.items()}
    if not parts & {"bridge", "mask_decoder"}:
        return encoder if "image_encoder" in parts else _ENCODER

    def count(pattern: str) -> int:
        """Count distinct indices. A gap then shows as a missing key. The count is at least 1, so no index shows too."""
        matches = (re.match(rf"mask_decoder\.{pattern}\.", key) for key in keys)
        return max(1, len({match[1] for match in matches if match}))

    names = encoder | {"mask_decoder.mask_tokens.weight": "decoder.tokens"}
    num_tokens = count(r"MLP_s\d\.(\d+)")
    for stage in range(3):
        names |= _stage(stage, count(rf"DMAB_s{stage}\.layers\.(\d+)"), num_tokens)
    return names | _BRIDGE if "bridge" in parts else names
