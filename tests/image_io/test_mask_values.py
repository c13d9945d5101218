# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

from scripts.common.errors import InputError
from scripts.image_io.mask_values import check_numbers, histogram, listed, more_classes, why_not_two_classes


def why(values: list, full_scale: int = 255, *, lossy: bool = False) -> str | None:
    """The words for squares of 6 x 6 pixels of each value, side by side."""
    picture = np.repeat(np.repeat(np.array([values], dtype="uint16"), 6, axis=0), 6, axis=1)
    return why_not_two_classes(picture, histogram(picture, "a.png"), full_scale, lossy)


SAVE = "save background as 0 and every object as 255"
ALL = "set --instance_labels true if every value above 0 is an object"


@pytest.mark.parametrize("values, words", [
    ([0, 0, 12, 45, 201], f"more than one value fills areas (values found: 0, 12, 45, 201); {SAVE}, or {ALL}, or save"),
    ([0, 0, 29, 150], "save its classes as 0 to 2 and set --out_channels 3"),
    ([0, 40, 255], "holds ids of classes or objects rather than background and object"),
    ([0, *range(3, 250, 7)], f"and 32 more); {SAVE}, or {ALL}"),
    ([0, 32], "has label 32, which is out of range for 2 classes (values found: 0, 32); set --out_channels 33, or "),
    ([0, 32], f"{SAVE}, or {ALL}"),
    ([0, *range(1, 64)], f"set --out_channels 64, or {SAVE}, or {ALL}"),
    ([0, *range(1, 64), 255], ALL),
    ([45, 201], f"has no background, as its darkest value is 45 (values found: 45, 201); {SAVE}, or {ALL}"),
    ([0, 1, 255], f"holds ids rather than background and object (values found: 0, 1, 255); {SAVE}, or {ALL}"),
])  # fmt: skip
def test_ids_and_classes_name_values_and_cures(values, words):
    assert words in why(values)


@pytest.mark.parametrize("values", [[0, 255], [8, 248], [0, 200], [200, 255], [255, 255]])
def test_background_and_object_pass(values):
    assert why(values) is None


def test_16_bits_have_another_full_scale():
    assert why([0, 65535], 65535) is None
    assert "fills areas (values found: 0, 300, 40000)" in why([0, 300, 40000], 65535)


def test_lossy_values_are_not_searched_for_ids():
    assert why([0, 40, 255], lossy=True) is None
    assert why([0, 2], lossy=True).endswith(f"(values found: 0, 2); {SAVE}")


def test_numbers_that_are_no_ids():
    check_numbers(np.array([0.0, 7.0]), "a.png")
    for values, words in ((np.array([-1, 3]), "from -1 to 3"), (np.array([0.5]), "such as 0.5")):
        with pytest.raises(InputError, match=f"a.png has values {words}; save"):
            check_numbers(values, "a.png")
    with pytest.raises(InputError, match="from 2 to 65536"):
        histogram(np.array([2, 65536]), "a.png")
    assert histogram(np.array([2.0, 0.0, 2.0]), "a.png").tolist() == [1, 0, 2]
    assert listed(np.array([1, 0, 1, 1]), 1) == "2, 3" and listed(np.ones(9, int)) == "0, 1, 2, 3, 4 and 4 more"
    assert more_classes(254) == "set --out_channels 255, or " and more_classes(255) == ""
