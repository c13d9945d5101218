# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import re
import subprocess
import sys

from scripts.common.knobs_page import CHAPTERS, knobs_page
from workflows import BUNDLE, CONFIGS

PAGE = knobs_page()


def row(chapter: str, knob: str) -> list[str]:
    """The cells of a knob's row."""
    part = PAGE.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    (line,) = re.findall(rf"^\| `{re.escape(knob)}` \| .*$", part, re.M)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_page_is_what_the_configs_say():
    cure = "run python -m scripts.common.knobs_page in the folder bundle/"
    assert (BUNDLE / "docs" / "knobs.md").read_text(encoding="utf-8") == PAGE, cure


def test_the_command_writes_the_page(tmp_path):
    command = [sys.executable, "-m", "scripts.common.knobs_page", "--output", str(tmp_path / "knobs.md")]
    subprocess.run(command, cwd=BUNDLE, check=True)
    assert (tmp_path / "knobs.md").read_text(encoding="utf-8") == PAGE


def test_defaults_are_those_of_a_dataset_of_ones_own():
    defaults = {"spatial_size": "`[512, 512]`", "batch_size": "`32`", "max_epochs": "`350`", "dataset_dir": "not set"}
    defaults |= {"ckpt_dir": "`./models`", "norm": "`batch`", "refine": "`false`", "augment#padding": "`reflection`"}
    defaults |= {"split": "not set", "device": "the first GPU, else the CPU", "weight_decay": "`0.0001`"}
    for name, default in defaults.items():
        assert row("Training", name)[1] == default
    assert row("Training by the paper's recipe", "learning_rate_step")[1] == "`50`"
    assert row("Training by the paper's recipe", "min_learning_rate")[1] == "`0.00001`"
    assert row("Training by the paper's recipe for FIVES", "label_fit")[1] == "`nearest`"
    assert row("Evaluation", "spatial_size")[1] == row("Masks for new images", "fill_holes")[1] == "the model's"
    assert row("Evaluation", "tolerance")[1] == "`2.0`"


def test_every_config_that_describes_knobs_has_a_chapter():
    described = {names[-1] for names in CHAPTERS.values()}
    for path in CONFIGS.rglob("*.json"):
        groups = [name for name in json.loads(path.read_text()) if re.fullmatch("_[a-z]+(_[a-z]+)*_", name)]
        assert bool(groups) == (path.relative_to(CONFIGS).with_suffix("").as_posix() in described), path


def test_rows_have_three_cells():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 100 and all(len(line.strip("|").split("|")) == 3 for line in rows)
