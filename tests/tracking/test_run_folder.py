# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

import ignite.distributed as idist
import pytest
from monai.bundle import ConfigParser

from scripts.tracking.run_folder import make_run_dir, write_executed_config


def test_the_executed_config_holds_what_was_set_from_outside(tmp_path):
    path = Path(make_run_dir(tmp_path / "new", "run")) / "executed.json"
    target = {"_target_": "scripts.tracking.run_folder.write_executed_config", "path": str(path)}
    parser = ConfigParser({"max_epochs": 350, "double": "$2 * @max_epochs", "executed": target})
    parser["max_epochs"] = 3
    parser["callable"] = print  # what Python code may set, and JSON cannot hold
    parser.parse()
    assert parser.get_parsed_content("executed") == str(path)
    written = json.loads(path.read_text())
    assert written["max_epochs"] == 3 and written["double"] == "$2 * @max_epochs" and "print" in written["callable"]


def test_the_executed_config_needs_a_config(tmp_path):
    with pytest.raises(RuntimeError, match="no MONAI bundle config"):
        write_executed_config(tmp_path / "x.json")


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    folder = make_run_dir(tmp_path / "new", "run")
    assert folder == str(tmp_path / "new" / "run") and list(tmp_path.iterdir()) == []
    target = {"_target_": "scripts.tracking.run_folder.write_executed_config", "path": str(tmp_path / "a.json")}
    parser = ConfigParser({"executed": target})
    assert parser.get_parsed_content("executed") == str(tmp_path / "a.json") and list(tmp_path.iterdir()) == []
