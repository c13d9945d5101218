# SPDX-License-Identifier: Apache-2.0

"""20,000 damaged image files are read or refused, each in seconds and in little memory, and none ends its process."""

from __future__ import annotations

import pytest

from fuzzing import MAX_BYTES, MAX_SECONDS, trial

COUNT = 20_000


@pytest.mark.battery
def test_damaged_files_are_read_or_refused(capsys):
    tried = trial(first=0, count=COUNT)
    with capsys.disabled():
        print(f"\n{tried}")
    wrong = [f"seed {each.seed}: {each.told}" for each in tried.outcomes if each.outcome == "wrong"]
    assert not wrong, "\n".join(wrong[:20])
    assert len(tried.outcomes) == COUNT and max(each.seconds for each in tried.outcomes) < MAX_SECONDS, str(tried)
    assert tried.peak < MAX_BYTES, str(tried)
