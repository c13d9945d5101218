# SPDX-License-Identifier: Apache-2.0

"""Masks are cleaned as asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.common.errors import InputError
from scripts.transforms.cleaning import NO_CLEANING, Cleand, clean


@pytest.fixture
def ids() -> np.ndarray:
    """Two classes: a ring with a hole and a speck of class 1; class 2 in another hole of the ring, and a speck."""
    ids = np.zeros((30, 40), np.uint8)
    ids[2:20, 2:30] = 1
    ids[5:9, 5:9] = 0  # a hole
    ids[5:9, 15:19] = 2  # what fills another
    ids[25, 35] = 1
    ids[25:27, 5:7] = 2
    return ids


def changed(ids: np.ndarray, **settings) -> np.ndarray:
    return clean(ids, **{**NO_CLEANING, **settings})


def test_without_settings_nothing_changes(ids):
    assert np.array_equal(changed(ids), ids)


def test_holes_are_filled_but_not_where_another_class_is(ids):
    expected = ids.copy()
    expected[5:9, 5:9] = 1
    assert np.array_equal(changed(ids, fill_holes=True), expected)


@pytest.mark.parametrize("inner, outer", [(1, 2), (2, 1)])
def test_a_hole_is_of_the_class_around_it_where_objects_lie_in_one_another(inner, outer):
    ids = np.zeros((20, 20), np.uint8)
    ids[1:19, 1:19] = outer
    ids[3:5, 3:5] = 0
    ids[6:16, 6:16] = 0  # a gap around the inner one
    ids[7:15, 7:15] = inner
    ids[9:12, 9:12] = 0
    expected = ids.copy()
    expected[3:5, 3:5] = outer
    expected[6:16, 6:16][ids[6:16, 6:16] == 0] = outer
    expected[9:12, 9:12] = inner
    assert np.array_equal(changed(ids, fill_holes=True), expected)


def test_what_vanishes_inside_an_object_leaves_no_hole():
    ids = np.ones((9, 9), np.uint8)
    ids[4, 4] = 2
    assert (changed(ids, fill_holes=True, smallest_object=5) == 1).all()


def test_of_each_class_the_largest_stays(ids):
    expected = ids.copy()
    expected[25, 35] = 0
    expected[25:27, 5:7] = 0
    assert np.array_equal(changed(ids, largest_component=True), expected)


@pytest.mark.parametrize("smallest, kept", [(1, (1, 2)), (2, (0, 2)), (4, (0, 2)), (5, (0, 0))])
def test_small_objects_vanish(ids, smallest, kept):
    cleaned = changed(ids, smallest_object=smallest)
    assert (cleaned[25, 35], cleaned[25, 5]) == kept and cleaned[5, 15] == 2


def test_volumes_are_cleaned_slice_by_slice_and_maps_stay(ids):
    pred = torch.from_numpy(np.stack([ids, np.flipud(ids)], axis=-1))[None].int()
    with_map = torch.cat([pred, torch.full_like(pred, 7)])
    settings = {**NO_CLEANING, "fill_holes": True}
    cleaned = Cleand("pred", settings)({"pred": with_map})["pred"]
    for k, each in enumerate((ids, np.flipud(ids))):
        assert np.array_equal(cleaned[0, ..., k].numpy(), clean(each, **settings))
    assert (cleaned[1] == 7).all() and not torch.equal(cleaned, with_map)
    assert torch.equal(Cleand("pred", settings)({"pred": pred[..., 0]})["pred"], cleaned[:1, ..., 0])
    for wrong in (-1, 2.5, True):
        with pytest.raises(InputError, match="smallest_object is .*; give a whole number of pixels, at least 0"):
            Cleand("pred", {**NO_CLEANING, "smallest_object": wrong})
