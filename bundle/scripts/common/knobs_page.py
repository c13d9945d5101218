# SPDX-License-Identifier: Apache-2.0

"""Write the page of all knobs from their descriptions in the configs: ``python -m scripts.common.knobs_page``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser

from .checked_knobs import described_knobs
from .files import write_text
from .paths import BUNDLE, CONFIGS

__all__ = ["CHAPTERS", "knobs_page", "main"]

#: The config files that are merged for each chapter, by the title of the chapter. The chapter describes the last file.
CHAPTERS: dict[str, tuple[str, ...]] = {
    "Training": ("train",),
    "Training by the paper's protocol": ("train", "paper_protocol"),
    "Training by the paper's recipe": ("train", "recipes/paper"),
    "Training by the paper's recipe for FIVES": ("train", "recipes/paper_fives"),
    "Evaluation": ("train", "evaluate"),
    "Masks for new images": ("inference",),
    "Masks by several models": ("inference", "ensemble"),
}

_INTRODUCTION = """\
# Knobs

A knob is a setting of a run. Set it on the command line by `--name value`. A name that has no effect is refused, and so
is a value that cannot be. On a shell, quote values with brackets, blanks or commas.

The defaults are those for a dataset of your own. This page is made from the descriptions in the configs by `python -m
scripts.common.knobs_page`, from the folder `bundle/`.
"""

# What the page shows for knobs whose default depends on the machine or on the run.
_OF_THE_RUN = {
    "device": "the first GPU, else the CPU",
    "run_name": "made of kind and time",
    "tracking_uri": "a file in `output_dir`",
}


def knobs_page() -> str:
    """Return the page in Markdown. It has a chapter for each config, and a table for each group of knobs."""
    return _INTRODUCTION + "".join(line for title, names in CHAPTERS.items() for line in _chapter(title, names))


def _chapter(title: str, names: tuple[str, ...]) -> Iterator[str]:
    config = ConfigParser()
    config.read_config([str(_path(name)) for name in names])
    if names[0] == "train":
        config["dataset_dir"] = config["dataset_dir"] or "my_data"
    yield f"\n## {title}\n\n`configs/{names[-1]}.json`\n"
    for group, knobs in described_knobs(json.loads(_path(names[-1]).read_text(encoding="utf-8"))).items():
        yield f"\n### {group}\n\n| knob | default | meaning |\n|---|---|---|\n"
        for knob, meaning in knobs.items():
            yield f"| `{knob}` | {_default(config, knob)} | {meaning} |\n"


def _path(name: str) -> Path:
    return CONFIGS / f"{name}.json"


def _default(config: ConfigParser, knob: str) -> str:
    """Return the default of a knob as the page shows it. If it depends on the images, it is that for an own dataset."""
    if knob in _OF_THE_RUN:
        return _OF_THE_RUN[knob]
    if "@trained" in str(config[knob]):
        return "the model's"
    value: Any = None if knob == "dataset_dir" and config[knob] == "my_data" else config.get_parsed_content(knob)
    if value is None:
        return "not set"
    if isinstance(value, float):
        return f"`{np.format_float_positional(value, trim='0')}`"  # 0.00001, not 1e-05
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page.

    Args:
        arguments: words of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.common.knobs_page", description=__doc__)
    parser.add_argument("--output", type=Path, default=BUNDLE / "docs" / "knobs.md", help="file to write")
    write_text(parser.parse_args(arguments).output, knobs_page())


if __name__ == "__main__":
    main()
