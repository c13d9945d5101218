# SPDX-License-Identifier: Apache-2.0

"""What scores mean: how the scored images relate to those that the model was trained on, and chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...common.errors import InputError

__all__ = ["PROTOCOLS", "TRAINING_PROTOCOLS", "UNKNOWN_START", "Protocol", "protocol_of"]


class Protocol(NamedTuple):
    """How a score is to be read.

    Attributes:
        text: named beside every score.
        meaning: one sentence on what the scores can be taken for.
    """

    text: str
    meaning: str


#: by the name that ``summary.json`` has
PROTOCOLS = {
    "held-out": Protocol(
        "held-out protocol: the epoch was chosen on other images",
        "No scored image was trained on, and none helped to choose the model, so the scores estimate what to expect on "
        "new images of the same kind.",
    ),
    "paper": Protocol(
        "paper protocol: the epoch was chosen on the scored images themselves",
        "The scored images also chose the epoch of the model, as in the paper, so the scores are somewhat too good; "
        "compare them with the paper's figures only.",
    ),
    "all": Protocol(
        "all images: some were trained on",
        "The model was trained on a part of these images, or chosen by them, so the scores are too good for a "
        "comparison.",
    ),
    "external": Protocol(
        "external images: all of them",
        "The images are of another dataset than the one that the model was trained on, so the scores show how far it "
        "carries over.",
    ),
    "unknown": Protocol(
        "all images: what the model was trained on is not on record",
        "If the model was trained on some of these images, the scores are too good.",
    ),
}

#: what is to be added where that is so
UNKNOWN_START = (
    "the model started from weights whose images are not on record; if those have seen some of the scored images, the "
    "scores are too good"
)

#: those that a training can be asked for
TRAINING_PROTOCOLS = ("held-out", "paper")


def protocol_of(summary: Mapping[str, Any]) -> Protocol:
    """How the scores of an evaluation are to be read.

    Args:
        summary: content of its ``summary.json``.

    Raises:
        InputError: if it names no protocol, as those of version 0.1 do not.
    """
    name = summary.get("protocol")
    if name not in PROTOCOLS:
        raise InputError(f"the summary.json of {summary.get('images')} names no protocol, but {name!r}; evaluate again")
    return PROTOCOLS[name]
