# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from scripts.common.counts import counted


def test_only_one_thing_is_in_the_singular():
    assert [counted(count, "pair") for count in (0, 1, 2)] == ["0 pairs", "1 pair", "2 pairs"]
    assert [counted(count, "mask", "is", "are") for count in (1, 2)] == ["1 mask is", "2 masks are"]
