# SPDX-License-Identifier: Apache-2.0

"""What the documents say is so: commands name real files and knobs, figures are those of the code."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import pkgutil
import re
import shlex
import sys

import pytest
import torch

import scripts
from scripts.networks.qtseg import QTSeg
from workflows import BUNDLE, CONFIGS

ROOT = BUNDLE.parent
README = (ROOT / "README.md").read_text()
CARD = (BUNDLE / "docs" / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README + CARD, re.S) for line in block.splitlines()]
MODULES = [m.name for m in pkgutil.walk_packages(scripts.__path__, "scripts.")]


def test_ci_runs_the_test_command_of_the_readme():
    (command,) = [line for line in COMMANDS if "pytest" in line]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("command", [c for c in COMMANDS if "monai.bundle" in c])
def test_commands_name_real_configs_and_knobs(command):
    words = shlex.split(command.split("&&")[-1])
    arguments = dict(zip(words, words[1:]))
    files = arguments["--config_file"]
    files = ast.literal_eval(files) if files.startswith("[") else [files]
    config = {}
    for file in files:
        config.update(json.loads((BUNDLE / file).read_text()))
    run_id = words[words.index("run") + 1]
    assert run_id in config, run_id
    for word in words:
        if word.startswith("--") and word not in ("--config_file", "--nproc_per_node=2"):
            assert word[2:] in config, word


def test_the_table_of_knobs_gives_the_defaults_of_the_config():
    train = json.loads((CONFIGS / "train.json").read_text())
    for names in re.findall(r"^\| (`.*?`) \|", README, re.M):
        for name in re.findall(r"`(\w+)`", names):
            assert name in train, name
    own = train["default_sizes"]["own"]
    assert f"| `batch_size`, `max_epochs` | {own['batch_size']}, {own['max_epochs']} |" in README
    assert f"| `spatial_size` | {own['spatial_size']} |" in README
    assert f"| `fold`, `num_folds` | {train['fold']}, {train['num_folds']} |" in README


def test_the_parameter_count_is_measured():
    count = f"{sum(p.numel() for p in QTSeg(3, 2).parameters()):,}"
    assert count in README and count in CARD


def test_paths_in_the_tree_exist():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.S)[1]
    for line in tree.splitlines():
        assert (ROOT / line.split()[0]).is_dir(), line


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back what an example installs
    module = importlib.import_module(name)
    for item in vars(module).values():
        if getattr(item, "__module__", None) != name or not getattr(item, "__doc__", None):
            continue
        for example in re.findall(r"Example::\n\n((?: {4,}.*\n|\n)+)", item.__doc__):
            if ">>>" in example:
                continue  # doctest's part
            lines = example.rstrip().splitlines()
            indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            exec("\n".join(line[indent:] for line in lines), {**vars(module), "torch": torch})
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_listed_and_documented(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        assert getattr(module, public).__doc__, f"{name}.{public}"
    if not hasattr(module, "__path__") and not name.endswith("__main__"):
        assert module.__all__, name
