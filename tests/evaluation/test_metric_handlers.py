# SPDX-License-Identifier: Apache-2.0

"""Every score is built from the table of scores, with its metric, its arguments and its masks."""

from __future__ import annotations

from typing import Any

import pytest
from monai.bundle import ConfigParser
from monai.handlers import IgniteMetricHandler
from monai.metrics import DiceMetric, MeanIoU

from scripts.common.score_table import SCORES, parse_name
from scripts.evaluation import metrics, surface_metrics
from scripts.evaluation.metric_handlers import build_metrics
from scripts.evaluation.metrics import ConfusionScore
from scripts.evaluation.surface_metrics import DetectionScore, SurfaceScore
from workflows import CONFIGS

ITEM = {name: name for name in ("pred", "label", "original_label", "fitted_pred")}
OVERLAP = {"include_background": False, "ignore_empty": False}


def described(handlers: dict[str, IgniteMetricHandler]) -> dict[str, tuple[type, dict[str, Any], tuple[Any, ...]]]:
    """Of each metric its class, the arguments that matter, and the masks that it compares."""
    names = ("score", "paper_protocol", "spacing", "tolerance", "include_background", "ignore_empty")
    return {
        name: (
            type(handler.metric_fn),
            {key: value for key, value in vars(handler.metric_fn).items() if key in names},
            tuple(masks[0] for masks in handler._output_transform([ITEM])),
        )
        for name, handler in handlers.items()
    }


def of_config(*names: str, **settings: float) -> dict[str, tuple[type, dict[str, Any], tuple[Any, ...]]]:
    """The metrics of a config, the key metric first."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in names])
    parser.update(settings)
    key, others = (parser.get_parsed_content(f"validate#{name}") for name in ("key_metric", "additional_metrics"))
    assert len(key) == 1
    return described({**key, **others})


def confused(name: str, masks: tuple[str, str], paper: bool = False) -> tuple[type, dict[str, Any], tuple[str, str]]:
    return ConfusionScore, {"score": name, "paper_protocol": paper}, masks


def assert_computes(built: dict[str, Any], described_here: dict[str, Any]) -> None:
    """The metrics described here are built so and in this order; any other is a row of the table, added since."""
    assert [item for item in built.items() if item[0] in described_here] == list(described_here.items())
    assert {parse_name(name).base for name in built} <= {row.name for row in SCORES}


def test_a_training_validates_at_the_size_that_the_network_sees():
    masks = ("pred", "label")
    validated = {
        "val_dice": (DiceMetric, OVERLAP, masks),
        "val_iou": (MeanIoU, OVERLAP, masks),
        "val_mae": confused("mae", masks),
        "val_accuracy": confused("accuracy", masks),
    }
    assert_computes(of_config("train"), validated)
    paper = {f"paper_{name}": confused(name, masks, True) for name in ("dice", "iou", "mae", "accuracy")}
    assert_computes(of_config("train", "paper_protocol"), validated | paper)
    assert not any(name.startswith("paper_") for name in of_config("train"))


@pytest.mark.parametrize("overlays", [(), ("paper_protocol",)])
def test_an_evaluation_computes_all_scores_at_original_size_and_the_papers_as_the_network_sees(overlays):
    masks = ("pred", "original_label")
    distances = {"spacing": 0.5, "tolerance": 2.0}
    fitted = ("fitted_pred", "label")
    scored = {
        "dice": (DiceMetric, OVERLAP, masks),
        "iou": (MeanIoU, OVERLAP, masks),
        **{name: confused(name, masks) for name in ("mae", "accuracy", "sensitivity", "precision")},
        "hd95": (SurfaceScore, {"score": "hd95", **distances}, masks),
        "asd": (SurfaceScore, {"score": "asd", **distances}, masks),
        "nsd": (SurfaceScore, {"score": "nsd", "spacing": 0.5, "tolerance": 3.0}, masks),
        "object_f1": (DetectionScore, {}, masks),
        **{f"paper_{name}": confused(name, fitted, True) for name in ("dice", "iou", "mae", "accuracy")},
    }
    assert_computes(of_config("train", *overlays, "evaluate", pixel_size=0.5, tolerance=3.0), scored)


def test_every_score_of_the_table_has_one_way_of_being_computed():
    monai, surfaces = set(metrics.METRICS), set(surface_metrics.METRICS)
    formulas = {row.name for row in SCORES if row.ratio is not None}
    assert monai | surfaces | formulas == {row.name for row in SCORES}
    assert monai == {"dice", "iou"} <= formulas and not surfaces & formulas  # the paper's Dice and IoU have formulas
    assert {row.name for row in SCORES if row.paper is not None} <= formulas
    built = build_metrics("evaluation", key=False)
    computed = {name for name, handler in built.items() if isinstance(handler.metric_fn, ConfusionScore)}
    assert computed == formulas - monai


def test_another_stage_is_refused():
    with pytest.raises(ValueError, match="training"):
        build_metrics("training", key=True)
