# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from scripts.evaluation.surface_metrics import DetectionScore, SurfaceScore


def blobs(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A random mask of a few areas."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 4)
    return smooth > np.quantile(smooth, 0.8)


def one_hot(mask: np.ndarray) -> torch.Tensor:
    """(1, 2, H, W), or (1, K, H, W) of ids."""
    ids = torch.as_tensor(mask.astype(np.int64))
    return torch.nn.functional.one_hot(ids, max(2, int(ids.max()) + 1)).permute(2, 0, 1)[None].float()


def score(metric: SurfaceScore | DetectionScore, pred: np.ndarray, label: np.ndarray) -> float:
    return metric._compute_tensor(one_hot(pred), one_hot(label)).item()


# the same by other means: scipy alone


def outline(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def distances(pred: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each outline's pixels to the other outline."""
    there, back = outline(pred), outline(label)
    return ndimage.distance_transform_edt(~back)[there], ndimage.distance_transform_edt(~there)[back]


def expected(name: str, pred: np.ndarray, label: np.ndarray) -> float:
    there, back = distances(pred, label)
    if name == "hd95":
        return max(np.percentile(there, 95), np.percentile(back, 95))
    if name == "asd":
        return np.concatenate([there, back]).mean()
    return float((np.concatenate([there, back]) <= 2).mean())


@pytest.mark.parametrize("name", ["hd95", "asd", "nsd"])
@pytest.mark.parametrize("seed", range(8))
def test_surfaces_as_scipy_has_them(name, seed):
    pred, label = blobs(seed), blobs(seed + 100)
    assert score(SurfaceScore(name), pred, label) == pytest.approx(expected(name, pred, label), rel=1e-6)


@pytest.mark.parametrize("name", ["hd95", "asd", "nsd"])
def test_single_pixels_and_whole_images(name):
    dot, other, whole = (np.zeros((48, 64), bool) for _ in range(3))
    dot[5, 5], other[5, 15], whole[:] = True, True, True
    for pred, label in ((dot, other), (dot, whole), (whole, dot), (whole, whole), (dot, dot)):
        assert score(SurfaceScore(name), pred, label) == pytest.approx(expected(name, pred, label), rel=1e-6)


@pytest.mark.parametrize("name, missed, empty", [("hd95", 80.0, 0.0), ("asd", 80.0, 0.0), ("nsd", 0.0, 1.0)])
def test_misses_count_as_the_worst_and_right_absence_as_the_best(name, missed, empty):
    nothing, something = np.zeros((48, 64), bool), blobs(0)
    assert score(SurfaceScore(name), nothing, something) == missed  # the diagonal of 48 x 64
    assert score(SurfaceScore(name), something, nothing) == missed
    assert score(SurfaceScore(name), nothing, nothing) == empty


def test_a_miss_never_improves_the_mean():
    label = blobs(0)
    metric = SurfaceScore("hd95")
    metric(one_hot(blobs(1)), one_hot(label))
    before = metric.aggregate().item()
    metric(one_hot(np.zeros_like(label)), one_hot(label))
    assert metric.aggregate().item() > before


def test_distances_in_millimeters():
    pred, label = blobs(0), blobs(1)
    in_pixels = score(SurfaceScore("hd95"), pred, label)
    assert score(SurfaceScore("hd95", spacing=0.25), pred, label) == pytest.approx(in_pixels / 4)
    assert score(SurfaceScore("nsd", spacing=0.25, tolerance=0.5), pred, label) == pytest.approx(
        score(SurfaceScore("nsd", tolerance=2), pred, label)
    )
    assert score(SurfaceScore("asd", spacing=0.5), np.zeros((3, 4)), np.ones((3, 4))) == 2.5


def test_each_class_is_scored():
    pred, label = (np.zeros((20, 20), int) for _ in range(2))
    pred[2:5, 2:5], label[2:5, 2:5], label[10:14, 10:14] = 1, 1, 2
    values = SurfaceScore("hd95")._compute_tensor(one_hot(pred + 0 * label), one_hot(label)[:, :2])
    assert values.shape == (1, 1) and values.item() == 0
    ids = pred.copy()
    ids[0, 0] = 2
    assert SurfaceScore("nsd")._compute_tensor(one_hot(ids), one_hot(label)).tolist() == [[1.0, 0.0]]


def test_unknown_scores():
    with pytest.raises(ValueError, match="hd95"):
        SurfaceScore("hausdorff")


# objects


def f1_by_hand(pred: np.ndarray, label: np.ndarray) -> float:
    """Object by object, without a table."""
    (predicted, found), (labelled, there) = (ndimage.label(mask, np.ones((3, 3))) for mask in (pred, label))
    hits = 0
    for i in range(1, found + 1):
        for j in range(1, there + 1):
            a, b = predicted == i, labelled == j
            hits += (a & b).sum() / (a | b).sum() > 0.5
    return 2 * hits / (found + there)


@pytest.mark.parametrize("seed", range(8))
def test_objects_as_counted_by_hand(seed):
    label = blobs(seed)
    pred = np.roll(label, 2, axis=1) ^ (np.random.default_rng(seed).random(label.shape) > 0.99)
    assert score(DetectionScore(), pred, label) == pytest.approx(f1_by_hand(pred, label))


def test_objects_at_the_limits():
    nothing, one = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    one[2:4, 2:4] = True
    half = one.copy()
    half[2] = False
    assert score(DetectionScore(), nothing, nothing) == 1
    assert score(DetectionScore(), nothing, one) == score(DetectionScore(), one, nothing) == 0
    assert score(DetectionScore(), half, one) == 0  # an IoU of 0.5 is not enough
    two = one.copy()
    two[4, 4] = True  # over a corner
    assert score(DetectionScore(), one, two) == 1
    apart = one.copy()
    apart[7, 7] = True
    assert score(DetectionScore(), one, apart) == pytest.approx(2 / 3)


def test_the_mean_over_images():
    metric = DetectionScore()
    for seed in range(3):
        metric(one_hot(blobs(seed)), one_hot(blobs(seed)))
    metric(one_hot(np.zeros((48, 64), bool)), one_hot(blobs(0)))
    assert metric.aggregate().item() == 0.75
    assert not math.isnan(metric.aggregate().item())
