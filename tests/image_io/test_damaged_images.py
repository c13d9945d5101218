# SPDX-License-Identifier: Apache-2.0

"""Damaged image files are read or refused in one sentence: a few here, thousands in batteries/test_fuzzed_images.py."""

from __future__ import annotations

import pytest

from damage import damaged
from fuzzing import MAX_BYTES, trial, try_readers
from specimens import originals


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return originals()


def test_what_is_damaged_was_sound(files, tmp_path):
    several = {"animated.png", "frames.gif", "pages.tif", "deep pages.tif", "frames.dcm", "volume.nii", "volume.nii.gz"}
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert try_readers(str(path)) == ("refused" if name in several else "read"), name


def test_a_seed_makes_the_same_file_again(files):
    assert [damaged(seed, files) for seed in range(50)] == [damaged(seed, files) for seed in range(50)]


def test_damaged_files_are_read_or_refused():
    tried = trial(first=0, count=300)
    wrong = [f"seed {each.seed}: {each.told}" for each in tried.outcomes if each.outcome == "wrong"]
    assert not wrong, "\n".join(wrong)
    assert {each.outcome for each in tried.outcomes} == {"read", "refused"} and len(tried.outcomes) == 300
    assert tried.peak < MAX_BYTES, str(tried)
