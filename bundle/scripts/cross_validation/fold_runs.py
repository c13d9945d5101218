# SPDX-License-Identifier: Apache-2.0

"""The folds of a cross-validation on disk, trained and scored one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..experiments.scored_runs import ScoredRuns

__all__ = ["FoldRuns"]


class FoldRuns(ScoredRuns):
    """A folder with everything of a cross-validation.

    ``fold_<i>/`` holds a fold's model and ``fold_<i>/evaluation/`` its scores, ``cross_validation.json`` the settings
    that it was begun with.

    Args:
        folder: the folder; made if it is not there.
        config_file: of the training, as for ``monai.bundle run``.
        knobs: names and values, as on its command line.
    """

    def __init__(self, folder: Path, config_file: str, knobs: Mapping[str, str]) -> None:
        super().__init__(folder, config_file, knobs, "cross_validation.json")

    def model(self, fold: int) -> Path:
        """The folder of a fold's model."""
        return self.model_dir(f"fold_{fold}")

    def evaluation(self, fold: int) -> Path:
        """The folder of a fold's scores."""
        return self.scores_dir(f"fold_{fold}")

    def is_done(self, fold: int) -> bool:
        """Whether a fold is trained and scored."""
        return self.has_scores(f"fold_{fold}")

    def run(self, fold: int, *, device: str | None, parent_run: str) -> None:
        """Train and score a fold. One that was cut off goes on from its last checkpoint, or with the scores.

        Args:
            fold: its number.
            device: number of the GPU; None for what the config says.
            parent_run: MLflow's id of the cross-validation.

        Raises:
            RuntimeError: if a process fails; its output is in the fold's ``log.txt``.
        """
        self.train_and_score(f"fold_{fold}", {"fold": str(fold), "parent_run": parent_run}, device=device)
