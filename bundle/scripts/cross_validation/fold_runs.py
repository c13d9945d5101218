# SPDX-License-Identifier: Apache-2.0

"""Train and score the folds of a cross-validation in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..experiments.scored_runs import ScoredRuns

__all__ = ["FoldRuns"]


class FoldRuns(ScoredRuns):
    """The folder of a cross-validation, with the models and scores of its folds.

    The model of a fold is in ``fold_<i>/``, and its scores are in ``fold_<i>/evaluation/``. The settings that the
    cross-validation was started with are in ``cross_validation.json``.

    Args:
        folder: the folder of all folds; it is created if it does not exist.
        config_file: config file of the training, or a list of them, as for ``monai.bundle run``.
        knobs: names and values of knobs, as on the command line of ``monai.bundle run``.
    """

    def __init__(self, folder: Path, config_file: str, knobs: Mapping[str, str]) -> None:
        super().__init__(folder, config_file, knobs, "cross_validation.json")

    def model(self, fold: int) -> Path:
        """Return the folder of the model of a fold."""
        return self.model_dir(f"fold_{fold}")

    def evaluation(self, fold: int) -> Path:
        """Return the folder of the scores of a fold."""
        return self.scores_dir(f"fold_{fold}")

    def is_done(self, fold: int) -> bool:
        """Return whether a fold is complete, that is, trained and scored."""
        return self.has_scores(f"fold_{fold}")

    def run(self, fold: int, *, device: str | None, parent_run: str) -> None:
        """Train and score a fold.

        An interrupted training is resumed from its last checkpoint. If only the scores are missing, the fold is not
        trained again.

        Args:
            fold: number of the fold.
            device: name of the GPU in ``CUDA_VISIBLE_DEVICES``, from :py:func:`..experiments.device_pool.usable_gpus`;
                None for the device that the config names.
            parent_run: MLflow's id of the run of the whole cross-validation.

        Raises:
            RuntimeError: if a process fails; its output is in ``log.txt`` in the folder of the fold.
        """
        self.train_and_score(f"fold_{fold}", {"fold": str(fold), "parent_run": parent_run}, device=device)
