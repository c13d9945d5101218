# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from scripts.data.splits.split import Fold, Split, relative_names
from splits import DATALIST, ROOT, split_of


def test_the_digest_changes_with_any_fold():
    assert split_of().digest == split_of().digest
    assert len({split.digest for split in (split_of(), split_of(seed=1), split_of(num_folds=2))}) == 3
    assert split_of(protocol="paper").digest != split_of().digest


def test_names_are_relative_to_the_dataset():
    assert relative_names(DATALIST[:1], ROOT) == ["images/p0_0.png"]


def test_folds_by_name():
    split = Split([Fold([0, 2], [1], []), Fold([1], [2], [2])], ["p", "p", "q"], ["a.png", "b.png", "c.png"])
    assert split.by_name() == [
        {"train": ["a.png", "c.png"], "validate": ["b.png"], "test": []},
        {"train": ["b.png"], "validate": ["c.png"], "test": ["c.png"]},
    ]
