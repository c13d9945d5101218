# SPDX-License-Identifier: Apache-2.0

"""Twelve images of six patients, and splits of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.data.splits.choose import split_images
from scripts.data.splits.split import Split
from scripts.data.survey import Facts

ROOT = "/data/my set"
NAMES = [f"images/p{i // 2}_{i}.png" for i in range(12)]
DATALIST = [{"image": f"{ROOT}/{name}", "label": f"{ROOT}/masks/{Path(name).name}"} for name in NAMES]
FACTS = [Facts(item["image"], pixels=[9, 1]) for item in DATALIST]


def split_of(**options: Any) -> Split:
    settings: dict[str, Any] = {
        "split": None,
        "group": None,
        "stratify": False,
        "num_folds": 3,
        "remainder": "spread",
        "protocol": "held-out",
        "validation_share": 0.25,
        "seed": 0,
    }
    return split_images(DATALIST, root=ROOT, facts=FACTS, **{"duplicates": [], **settings, **options})


def together(split: Split, *positions: int) -> bool:
    """Whether no fold parts these images."""
    return all(
        len({part for part in ("train", "validate", "test") for i in positions if i in getattr(fold, part)}) == 1
        for fold in split.folds
    )


def written(folder: Path, content: Any) -> Path:
    path = folder / "folds.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
