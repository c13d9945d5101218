# SPDX-License-Identifier: Apache-2.0

"""Strategies that choose the image to label next."""

from __future__ import annotations

import logging
import random
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from scripts.common.errors import InputError

from .model import TrainedModel

__all__ = ["ByName", "MostUncertain", "Random"]

logger = logging.getLogger(__name__)

_AT_A_TIME = 20  # number of images that are segmented for one choice


class Random(Strategy):
    """The strategy that chooses a random image without a final label."""

    def __init__(self) -> None:
        super().__init__("any image without a final label")

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any] | None:
        images = sorted(datastore.get_unlabeled_images())
        return {"id": random.Random(request.get("seed")).choice(images)} if images else None


class ByName(Strategy):
    """The strategy that chooses the first image without a final label, by name."""

    def __init__(self) -> None:
        super().__init__("the first image without a final label, by name")

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any] | None:
        images = sorted(datastore.get_unlabeled_images())
        return {"id": images[0]} if images else None


class MostUncertain(Strategy):
    """The strategy that chooses the image with the largest mean entropy of the classes.

    Args:
        model: model that segments the images. The entropy of an image is kept until the model changes.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__(f"the image that the model is least sure of, among up to {_AT_A_TIME} not yet looked at")
        self.model = model
        self.known: dict[str, float] = {}
        self.stamp: list[int] | None = None

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any] | None:
        images = sorted(datastore.get_unlabeled_images())
        if not images:
            return None
        if not self.model.is_there:
            return {"id": images[0]}
        self.model.refresh()
        if self.model.stamp != self.stamp:  # the model was trained since the last choice
            self.known, self.stamp = {}, self.model.stamp
        new = [image for image in images if image not in self.known]
        for image in random.Random(request.get("seed")).sample(new, min(_AT_A_TIME, len(new))):
            try:
                self.known[image] = self.model(datastore.get_image_uri(image))[1]
            except InputError as error:
                logger.warning(f"left out: {error}")
                self.known[image] = -1.0  # below every entropy, so that this image is chosen last
        best = max((image for image in images if image in self.known), key=lambda image: self.known[image])
        return {"id": best, "uncertainty": self.known[best]}
