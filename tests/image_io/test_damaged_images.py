# SPDX-License-Identifier: Apache-2.0

"""Damaged image files are read or refused in one sentence: a few here, thousands in batteries/test_fuzzed_images.py."""

from __future__ import annotations

import pytest

from damage import damaged
from fuzzing import MAX_BYTES, trial, try_readers
from scripts.image_io.formats.registry import FORMATS, format_named
from specimens import originals


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return originals()


def test_what_is_damaged_was_sound(files, tmp_path):
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        several = any(word in name for word in ("animated", "frames", "pages", "volume"))
        assert try_readers(str(path)) == ("refused" if several else "read"), name
    assert {format_named(name) for name in files} == {*FORMATS}


def test_files_of_all_kinds_that_end_too_early_are_read_or_refused(files, tmp_path):
    for name, content in files.items():
        path = tmp_path / name
        for length in {*range(0, len(content), len(content) // 3), len(content) - 1}:
            path.write_bytes(content[:length])
            assert try_readers(str(path)) in ("read", "refused"), name


def test_a_seed_makes_the_same_file_again(files):
    assert [damaged(seed, files) for seed in range(50)] == [damaged(seed, files) for seed in range(50)]


def test_another_file_changes_only_the_seeds_that_choose_it(files):
    name, content = "another.png", b"another" * 50
    before = [damaged(seed, files) for seed in range(400)]
    after = [damaged(seed, {**files, name: content}) for seed in range(400)]
    changed = sum(first != second for first, second in zip(before, after))
    assert 1 <= changed <= 400 * 4 / len(files)  # its share as the damaged file, and as the other of a splice


def test_damaged_files_are_read_or_refused():
    tried = trial(first=0, count=300)
    wrong = [f"seed {each.seed}: {each.told}" for each in tried.outcomes if each.outcome == "wrong"]
    assert not wrong, "\n".join(wrong)
    assert {each.outcome for each in tried.outcomes} == {"read", "refused"} and len(tried.outcomes) == 300
    assert tried.peak < MAX_BYTES, str(tried)
