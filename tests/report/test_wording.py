# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from scripts.report.wording import number


@pytest.mark.parametrize(
    "value, kind, text",
    [
        (0.12345, "share", "0.1235"),
        (1234.567, "distance", "1234.57"),
        (1234567, "count", "1,234,567"),
        (float("nan"), "share", "–"),
        (None, "distance", "–"),
    ],
)
def test_numbers_have_the_digits_of_their_kind(value, kind, text):
    assert number(value, kind) == text
