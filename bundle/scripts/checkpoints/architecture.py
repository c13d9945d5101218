# SPDX-License-Identifier: Apache-2.0

"""Which form of QTSeg a training takes: that of the weights it starts from, or the published one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..common.errors import InputError
from ..common.files import given_path
from ..networks.blocks import NORMS
from ..networks.qtseg import QTSeg
from .model_schema import PUBLISHED
from .state_dicts import is_refined, read_weights

__all__ = ["check_form", "check_norm", "form_of"]

_PARTS = ("norm", "detail", "refine")


def form_of(
    weights: str | os.PathLike | None = None,
    encoder_weights: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The settings of a network that weights fit.

    Args:
        weights: of a whole model, ours or the published release's.
        encoder_weights: of an encoder.
        settings: of a model that the training goes on with.

    Returns:
        ``norm``, ``detail`` and ``refine``, as :py:class:`..networks.qtseg.QTSeg` takes them; without weights the
        published ones.

    Raises:
        InputError: if a file cannot be read, or holds something else.
    """
    form = {name: (settings or PUBLISHED)[name] for name in _PARTS}
    path = weights if weights is not None else encoder_weights
    if path is not None:
        names = read_weights(given_path(path))
        form["norm"] = "batch" if any(name.endswith("running_mean") for name in names) else "group"
        form["detail"] = any(name.startswith("decoder.stages.0.details.") for name in names)
        form["refine"] = is_refined(names)
    return form


def check_norm(norm: str | None) -> str:
    """The knob ``norm``, checked before a QTSeg is built.

    Args:
        norm: the knob; None in the settings of a model that is of another network.

    Raises:
        InputError: if there is no such normalization.
    """
    if norm is None:
        raise InputError(
            "norm is null, as in models of other networks than QTSeg; add the overlay that the model was trained with, "
            "such as configs/networks/unet.json, to --config_file"
        )
    if norm not in NORMS:
        raise InputError(f"norm is {norm!r}; use one of {', '.join(NORMS)}")
    return norm


def check_form(
    network: nn.Module, *, norm: str | None, detail: bool, refine: bool, weights: str | os.PathLike | None = None
) -> None:
    """Check that a network has the form that is asked for, and that the weights that it starts from fit it.

    They fit a network of their form, and one that is refined beside, as a refinement starts as none.

    Args:
        network: to be trained.
        norm: the knob; None for other networks.
        detail, refine: the knobs; False for other networks.
        weights: of a whole model, that the training starts from.

    Raises:
        InputError: if one of them is set and would have no effect, as on other networks than QTSeg, or does not fit
            the weights, or these cannot be read.
    """
    asked = {"norm": norm, "detail": detail, "refine": refine}
    if not isinstance(network, QTSeg):
        if norm is not None or detail or refine:
            raise InputError(
                f"{_told(asked)}, but {type(network).__name__} has no form that they set; leave them out, and in an "
                'overlay of your own write "norm": null, "detail": false, "refine": false'
            )
    elif weights is not None and asked not in ((form := form_of(weights)), {**form, "refine": True}):
        raise InputError(
            f"{_told(asked)}, but of the weights to start from {_told(form)}; leave all of them out, or only refine "
            "them beside, by refine true"
        )


def _told(form: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} is {form[name]!r}" for name in _PARTS)
