# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest

from scripts.report.cases import Case, choose, short_names


def case(name: str, dice: float = 0.5) -> Case:
    return Case(name, name, {"dice": dice})


@pytest.mark.parametrize(
    "count, expected",
    [
        (0, {}),
        (1, {"Worst": [0]}),
        (6, {"Worst": [0, 1, 2, 3, 4, 5]}),
        (8, {"Worst": [0, 1, 2, 3, 4, 5], "Best": [7, 6]}),
        (10, {"Worst": [0, 1, 2, 3, 4, 5], "Median": [6], "Best": [9, 8, 7]}),
        (101, {"Worst": [0, 1, 2, 3, 4, 5], "Median": [49, 50, 51], "Best": [100, 99, 98]}),
    ],
)
def test_cases_are_chosen_by_rank_and_none_twice(count, expected):
    cases = [case(str(rank), rank / 1000) for rank in range(count)]
    chosen = choose([*cases[::-1], case("without", math.nan)])
    assert {kind: [int(each.image) for each in of_kind] for kind, of_kind in chosen.items()} == expected


@pytest.mark.parametrize(
    "paths, expected",
    [
        (["/data/images/a.png", "/data/images/b.png"], ["a.png", "b.png"]),
        (["/data/1/images/a.png", "/data/2/images/a.png"], ["1/images/a.png", "2/images/a.png"]),
        (["a.png", "more/b.png"], ["a.png", "more/b.png"]),
        (["/data/a.png", "more/b.png"], ["/data/a.png", "more/b.png"]),
        (["/a/b.png"], ["b.png"]),
    ],
)
def test_names_are_what_follows_the_shared_folder(paths, expected):
    assert list(short_names([case(path) for path in paths]).items()) == list(zip(paths, expected))
