# SPDX-License-Identifier: Apache-2.0

"""A row of the table of options says which values there are, and how a network's weights tell which it has."""

from __future__ import annotations

import inspect

import pytest
import torch

from scripts.common.errors import InputError
from scripts.networks.options import Option, any_begins
from scripts.networks.qtseg import OPTIONS, QTSeg

STEM = Option("stem", "plain", "9.0.0", lambda names: "fine" if "stem.fine" in names else "plain", ("plain", "fine"))
HALO = Option("halo", False, "9.0.0", lambda names: any_begins(names, "halo."), addition="halo.")


@pytest.mark.parametrize("value, checked", [(True, True), (False, False), ("true", True), ("False", False)])
def test_a_switch_may_come_as_a_word(value, checked):
    assert HALO.checked(value) is checked


@pytest.mark.parametrize("value", ["maybe", "", 1, 0, None])
def test_other_values_of_a_switch_are_refused(value):
    with pytest.raises(InputError, match=f"halo is {value!r}; .*true or false"):
        HALO.checked(value)
    assert not HALO.is_value(value)


@pytest.mark.parametrize("value", ["plain", "fine", None])
def test_a_choice_is_handed_on_as_is_that_of_another_network(value):
    assert STEM.checked(value) == value and STEM.is_value(value)


@pytest.mark.parametrize("value", ["coarse", "Fine", "", True, 0])
def test_other_choices_are_refused_with_those_that_there_are(value):
    with pytest.raises(InputError, match=f"stem is {value!r}; use one of plain, fine$"):
        STEM.checked(value)
    assert not STEM.is_value(value)


@pytest.mark.parametrize("option, absent", [(STEM, None), (HALO, False)], ids=["choice", "switch"])
def test_another_network_has_a_value_that_is_none_of_the_options(option, absent):
    assert option.absent is absent
    assert option.checked(option.absent) is absent and option.is_value(option.absent)


@pytest.mark.parametrize("option", [STEM, HALO, *OPTIONS.values()], ids=lambda option: option.name)
def test_the_default_is_a_value_of_the_option(option):
    assert option.checked(option.default) == option.default and option.is_value(option.default)


def test_messages_and_logs_have_words_for_values():
    assert (STEM.words("fine"), HALO.words(True)) == ("stem fine", "halo")
    assert HALO.expected == "true or false" and STEM.expected.startswith("plain or fine, or null")


@pytest.mark.parametrize(
    "network, stem, halo",
    [
        (torch.nn.ModuleDict({"stem": torch.nn.ParameterDict({"fine": torch.zeros(1)})}), "fine", False),
        (torch.nn.ModuleDict({"stem": torch.nn.ParameterDict({"finer": torch.zeros(1)})}), "plain", False),
        (torch.nn.ModuleDict({"halo": torch.nn.Linear(1, 1)}), "plain", True),
        (torch.nn.ModuleDict({"halo_of_others": torch.nn.Linear(1, 1)}), "plain", False),
        (torch.nn.Identity(), "plain", False),
    ],
    ids=["fine", "finer", "halo", "other halo", "none"],
)
def test_values_are_read_off_the_names_of_a_state_dict(network, stem, halo):
    names = network.state_dict().keys()
    assert (STEM.value_in(names), HALO.value_in(names)) == (stem, halo)


def test_the_other_values_are_all_but_the_default():
    assert (STEM.others, HALO.others) == (("fine",), (True,))


@pytest.mark.parametrize("name, value", [(row.name, value) for row in OPTIONS.values() for value in row.others])
def test_every_option_changes_the_names_by_which_it_is_known(name, value):
    sizes = {"features": 4, "num_heads": 2, "mlp_dim": 16, "depths": (1, 1, 1)}
    option = OPTIONS[name]
    plain, other = (QTSeg(3, 2, **sizes, **{name: each}).state_dict() for each in (option.default, value))
    assert (option.value_in(plain), option.value_in(other)) == (option.default, value)
    for rest in OPTIONS.keys() - {name}:
        assert OPTIONS[rest].value_in(other) == OPTIONS[rest].default
    if option.addition:
        assert {key for key in other if key.startswith(option.addition)} == other.keys() - plain.keys() != set()


def test_options_are_arguments_of_the_network_with_the_published_defaults():
    arguments = inspect.signature(QTSeg).parameters
    assert {name: arguments[name].default for name in OPTIONS} == {
        name: option.default for name, option in OPTIONS.items()
    }
