# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import shlex

import pytest

from scripts.common.command_line import as_typed, knobs_of
from scripts.common.errors import InputError


def knobs(*words: str) -> dict[str, str]:
    return knobs_of(words, taken=("fold",), by="fold by the cross-validation")


def test_words_of_the_command_line():
    assert knobs("--a", "1", "--b=[2, 3]", "--c", "--d") == {"a": "1", "b": "[2, 3]", "c": "--d"}


@pytest.mark.parametrize("word, message", [
    ("a", "a is no knob with a value; write --name value"),
    ("--a", "--a is no knob with a value"),
    ("--fold=1", "fold is set for each fold by the cross-validation; leave it out"),
])
def test_words_that_are_no_knobs(word, message):
    with pytest.raises(InputError, match=message):
        knobs(word)


def test_a_command_is_told_as_it_is_typed_and_can_be_typed_again():
    assert as_typed(["run", "--config_file", "['a.json','b.json']"]) == """run --config_file "['a.json','b.json']\""""
    words = ["it's", "$HOME", 'a"b', "'`tick", "a b", ""]
    assert shlex.split(as_typed(words)) == words
