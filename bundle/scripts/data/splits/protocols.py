# SPDX-License-Identifier: Apache-2.0

"""Protocols of scoring: whether the scored images are also images that the model was trained on or chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...common.errors import InputError

__all__ = ["PROTOCOLS", "TRAINING_PROTOCOLS", "UNKNOWN_START", "Protocol", "protocol_of"]


class Protocol(NamedTuple):
    """A protocol of scoring.

    Attributes:
        text: short text that stands beside every score.
        meaning: one sentence on what the scores mean.
    """

    text: str
    meaning: str


#: the protocols by their names in ``summary.json``
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

#: sentence to add to the meaning if the model started from weights whose images are not on record
UNKNOWN_START = (
    "the model started from weights whose images are not on record; if those have seen some of the scored images, the "
    "scores are too good"
)

#: the protocols that a training can use
TRAINING_PROTOCOLS = ("held-out", "paper")


def protocol_of(summary: Mapping[str, Any]) -> Protocol:
    """Return the protocol of an evaluation.

    Args:
        summary: content of the evaluation's ``summary.json``.

    Raises:
        InputError: if the file names no protocol. Files of version 0.1 name none.
    """
    name = summary.get("protocol")
    if name not in PROTOCOLS:
        raise InputError(f"the summary.json of {summary.get('images')} names no protocol, but {name!r}; evaluate again")
    return PROTOCOLS[name]
