# SPDX-License-Identifier: Apache-2.0

"""Scoring of the model on the labels of users."""

from __future__ import annotations

import logging
from typing import Any

from monailabel.interfaces.tasks.scoring import ScoringMethod

from scripts.common.errors import InputError
from scripts.evaluation.metrics import mean_dice

from .labels import read_label
from .model import TrainedModel

__all__ = ["DiceOfModel"]


logger = logging.getLogger(__name__)


class DiceOfModel(ScoringMethod):
    """Dice of the model's masks and the final labels, as the mean over foreground classes.

    The score of an image is also stored with the image in the datastore.

    Args:
        model: model to score. It may have been trained on these labels.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__("Dice of the model's masks and the final labels")
        self.model = model

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, float]:
        scores, labels = {}, self.model.labels
        for image in sorted(datastore.get_labeled_images()):
            path = datastore.get_image_uri(image)
            try:
                label = read_label(datastore.get_label_uri(image, "final"), path, labels)
                ids, _ = self.model(path)
            except InputError as error:
                logger.warning(f"left out: {error}")
                continue
            scores[image] = mean_dice(ids, label, labels.values())
            datastore.update_image_info(image, {"dice": scores[image]})
        return scores
