# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from scripts.common.active_config import calling_parser

TARGET = {"_target_": "scripts.common.active_config.calling_parser"}


def test_a_config_gets_its_own_parser():
    parser = ConfigParser({"parser": TARGET})
    assert parser.get_parsed_content("parser") is parser


def test_of_two_configs_the_inner_one_is_active():
    inner = ConfigParser({"parser": TARGET})
    outer = ConfigParser({"parser": TARGET, "answer": {"_target_": lambda: inner.get_parsed_content("parser")}})
    assert outer.get_parsed_content("answer") is inner
    assert outer.get_parsed_content("parser") is outer


def test_outside_of_a_config_none_is_active():
    with pytest.raises(RuntimeError, match="no MONAI bundle config is among the callers; name this function in a conf"):
        calling_parser()
