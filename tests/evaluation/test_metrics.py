# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU
from monai.networks.utils import one_hot

from scripts.common import score_table
from scripts.common.score_table import SCORES, Score
from scripts.evaluation.metrics import ConfusionScore, mean_dice


def score(name: str, pred: torch.Tensor, label: torch.Tensor, classes: int = 2, **kwargs) -> torch.Tensor:
    """Per-image, per-class scores of (B, H, W) label ids."""
    metric = ConfusionScore(name, **kwargs)
    metric(one_hot(pred[:, None], classes), one_hot(label[:, None], classes))
    return metric.get_buffer()


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randint(0, 3, (5, 16, 24), generator=generator) for _ in range(2))


def test_dice_and_iou_agree_with_monai(masks):
    pred, label = masks
    onehot = [one_hot(m[:, None], 3) for m in masks]
    for name, reference in [("dice", DiceMetric(include_background=False)), ("iou", MeanIoU(include_background=False))]:
        reference(*onehot)
        torch.testing.assert_close(score(name, pred, label, 3).float(), reference.get_buffer())
        metric = ConfusionScore(name)
        metric(*onehot)
        torch.testing.assert_close(metric.aggregate().float(), reference.aggregate())


def test_mae_and_accuracy_by_hand(masks):
    pred, label = masks[0] > 0, masks[1] > 0
    wrong = (pred != label).double().mean((1, 2))
    torch.testing.assert_close(score("mae", pred.long(), label.long())[:, 0], wrong)
    torch.testing.assert_close(score("accuracy", pred.long(), label.long())[:, 0], 1 - wrong)


EMPTY, FULL = torch.zeros(1, 4, 5, dtype=torch.long), torch.ones(1, 4, 5, dtype=torch.long)


@pytest.mark.parametrize(
    "pred, label, plain, paper",
    [(EMPTY, EMPTY, 1.0, 1.0), (FULL, EMPTY, 0.0, 2 / 22), (EMPTY, FULL, 0.0, 2 / 22), (FULL, FULL, 1.0, 1.0)],
)
def test_misses_count_as_they_are_except_in_the_paper_protocol(pred, label, plain, paper):
    assert score("dice", pred, label).item() == pytest.approx(plain)
    assert score("dice", pred, label, paper_protocol=True).item() == pytest.approx(paper)


def test_paper_protocol_changes_nothing_but_missing_overlap(masks):
    pred, label = masks[0] % 2, masks[1] % 2
    for name in (row.name for row in SCORES if row.paper is not None):
        torch.testing.assert_close(score(name, pred, label), score(name, pred, label, paper_protocol=True))


@pytest.mark.parametrize("name", ["f1", "hd95"])
def test_a_score_without_a_formula_is_refused(name):
    with pytest.raises(ValueError, match=name):
        ConfusionScore(name)


def test_sensitivity_and_precision_by_hand(masks):
    pred, label = masks[0] > 0, masks[1] > 0
    for i in range(len(pred)):
        overlap = (pred[i] & label[i]).sum().item()
        assert score("sensitivity", pred.long(), label.long())[i].item() == overlap / label[i].sum().item()
        assert score("precision", pred.long(), label.long())[i].item() == overlap / pred[i].sum().item()


@pytest.mark.parametrize("name", ["sensitivity", "precision", "dice", "iou"])
@pytest.mark.parametrize("pred, label, value", [(EMPTY, EMPTY, 1), (FULL, EMPTY, 0), (EMPTY, FULL, 0), (FULL, FULL, 1)])
def test_neither_a_miss_nor_a_false_alarm_lifts_a_mean(name, pred, label, value):
    assert score(name, pred, label).item() == value


HALF = EMPTY.clone()
HALF[:, :2] = 1


@pytest.mark.parametrize(
    "pred, label, specificity, false_alarms",
    [
        (EMPTY, EMPTY, 1, 0),
        (FULL, FULL, 1, 0),  # no background in the label: nothing is wrong
        (HALF, FULL, 0, 1),  # no background in the label: something is wrong
        (EMPTY, FULL, 0, 1),
        (FULL, EMPTY, 0, 1),
        (FULL, HALF, 0, 1),
        (HALF, EMPTY, 0.5, 0.5),
        (EMPTY, HALF, 1, 0),
    ],
)
def test_a_formula_that_divides_by_0_is_at_its_best_only_if_no_pixel_is_wrong(
    pred, label, specificity, false_alarms, monkeypatch
):
    rows = (
        Score("specificity", "Specificity", better="higher", ratio=lambda n: (n.tn, n.tn + n.fp)),
        Score("false_alarms", "False alarms", better="lower", ratio=lambda n: (n.fp, n.tn + n.fp)),
    )
    monkeypatch.setattr(score_table, "SCORES", rows)
    assert [score(row.name, pred, label).item() for row in rows] == [specificity, false_alarms]


def test_accuracy_of_the_paper_divides_by_the_raised_count_and_its_error_does_not():
    label = EMPTY.clone()
    label[0, 0, 0] = 1  # 20 pixels: 19 true negatives, one false negative, no true positive, which counts as one
    assert score("accuracy", EMPTY, label, paper_protocol=True).item() == 20 / 21
    assert score("mae", EMPTY, label, paper_protocol=True).item() == 1 / 20


def test_dice_of_label_ids_is_that_of_the_metric(masks):
    pred, label = masks
    expected = score("dice", pred, label, classes=3)  # (B, 2)
    for one, other, scores in zip(pred.numpy(), label.numpy(), expected):
        assert mean_dice(one, other, (1, 2)) == pytest.approx(float(scores.mean()))
    assert mean_dice(pred[0].numpy(), label[0].numpy(), [9]) == 1.0
