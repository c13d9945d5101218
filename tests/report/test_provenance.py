# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import datetime
import json
import platform

import monai
import pytest
import torch

from scripts.common.errors import InputError
from scripts.report.provenance import read_provenance, record
from workflows import CONFIGS


def test_what_was_run_where_and_with_what_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = datetime.datetime.now().astimezone().replace(microsecond=0)
    record(tmp_path, "python -m monai.bundle run", None)
    origin = read_provenance(tmp_path)
    date = datetime.datetime.fromisoformat(origin.pop("date"))
    assert before <= date <= datetime.datetime.now().astimezone() and date.utcoffset() == before.utcoffset()
    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    assert origin == {
        "command": "python -m monai.bundle run",
        "folder": str(tmp_path),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "bundle": f"{metadata['name']} {metadata['version']}",
    }


def test_curves_are_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(tmp_path, "", "models/curves.csv")
    monkeypatch.chdir("/")
    assert read_provenance(tmp_path)["curves"] == str(tmp_path / "models" / "curves.csv")


@pytest.mark.parametrize(
    "command, kept",
    [
        ("--uri http://me:secret@host/a", "--uri http://me:***@host/a"),
        ("--uri http://me:se@cret@host", "--uri http://me:***@host"),
        ("--uri https://:token@host --db sql://a:b@c", "--uri https://:***@host --db sql://a:***@c"),
        ("--uri http://host:5000/a@b", "--uri http://host:5000/a@b"),
        ("--uri http://me@host", "--uri http://me@host"),
        ("--ratio 1:2 --name a@b", "--ratio 1:2 --name a@b"),
    ],
)
def test_passwords_in_addresses_are_not_kept(command, kept, tmp_path):
    record(tmp_path, command, None)
    assert read_provenance(tmp_path)["command"] == kept


def test_an_evaluation_without_a_record_has_no_origin(tmp_path):
    assert read_provenance(tmp_path) is None


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(InputError, match="provenance.json cannot be read"):
        read_provenance(tmp_path)
