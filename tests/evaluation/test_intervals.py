# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scripts.evaluation.intervals import interval_text, mean_interval, mean_with_interval


def test_as_scipy_has_it_for_independent_images():
    values = np.random.default_rng(0).beta(8, 2, 200)
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    low, high = mean_interval(values.tolist(), range(200))
    width = expected.high - expected.low
    assert low == pytest.approx(expected.low, abs=0.1 * width)
    assert high == pytest.approx(expected.high, abs=0.1 * width)


def test_groups_of_like_images_widen_it():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    values = random.normal(0.8, 0.1, 20)[groups] + random.normal(0, 0.01, 200)
    by_image = np.subtract(*mean_interval(values.tolist(), range(200))[::-1])
    by_group = np.subtract(*mean_interval(values.tolist(), groups.tolist())[::-1])
    assert by_group > 2.5 * by_image


def test_it_covers_the_mean_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        groups = np.repeat(np.arange(40), random.integers(1, 6, 40))
        values = random.normal(0, 1, 40)[groups] + random.normal(0, 0.5, len(groups))
        low, high = mean_interval(values.tolist(), groups.tolist())
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_values_give_the_same_interval():
    assert mean_interval([0.1, 0.5, 0.9], "abc") == mean_interval([0.1, 0.5, 0.9], "abc")


@pytest.mark.parametrize("values, groups", [([0.5], "a"), ([0.5, 0.6], "aa")])
def test_one_group_has_none(values, groups):
    assert mean_interval(values, groups) is None
    found = mean_with_interval(values, groups)
    assert (found["low"], found["high"]) == (None, None) and interval_text(found, ".4f") == "one group: no interval"
