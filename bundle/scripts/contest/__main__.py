# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Train networks against each other on the same images: ``python -m scripts.contest``, from the bundle's folder."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import torch

from ..benchmark.machine import describe_machine
from ..checks import check_knobs, check_names
from ..command_line import config_of, knobs_of
from ..errors import InputError, explanation
from ..scored_runs import ScoredRuns, config_files_of
from .contestants import Contestant, build_network
from .speed import measured
from .table import read_results, results_path, save_results, write_contest

# what the contest or its overlays set for each training
_TAKEN = (
    *("seed", "ckpt_dir", "run_name", "run_prefix", "parent_run", "scores_dir"),
    *("network_name", "norm", "detail", "weights", "encoder_weights"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score every network by every recipe with every seed, and print the table.

    Args:
        arguments: of the command line; None for those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    asked, rest = parser.parse_known_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        knobs = knobs_of(rest, taken=_TAKEN, by="training by the contest")
        print(_hold(asked, knobs, f"python -m scripts.contest {shlex.join(words)}"))
    except (InputError, RuntimeError, OSError) as error:  # MONAI hides the one in the other
        parser.exit(1, f"{explanation(error) or error}\n")


def _hold(asked: argparse.Namespace, knobs: Mapping[str, str], command: str) -> str:
    """Hold the contest, and write its table after each training, lest an interruption lose it."""
    files = config_files_of(asked.config_file)
    settings = {"config_file": asked.config_file, **{k: value for k, value in knobs.items() if k != "resume"}}
    runs = ScoredRuns(asked.output_dir.absolute(), settings, "settings.json")
    contestants = [Contestant(recipe, network) for recipe, network in product(asked.recipes, asked.networks)]
    config_files = {each: each.config_files(files) for each in contestants}
    with runs.locked():
        for overlaid in config_files.values():
            config = config_of(overlaid, {**knobs, "output_dir": str(runs.folder)})
            check_names(config.get())
            check_knobs(config.get_parsed_content("hyperparameters"))
            device = torch.device(config.get_parsed_content("device"))
        runs.remember_settings()
        builds = {each.network: partial(build_network, files, knobs) for each, files in config_files.items()}
        speed = measured(runs.folder / "speed.json", builds, asked.speed_size, torch.device(asked.speed_device))
        text = ""
        for seed, each in product(asked.seeds, contestants):  # all with one seed, before any with the next
            path = results_path(runs.folder, each, seed)
            if not path.is_file():
                if not runs.has_scores(each.run(seed)):  # else it was cut off between the two
                    runs.train_and_score(each.run(seed), config_files[each], {**knobs, "seed": str(seed)})
                hours = runs.hours(each.run(seed))
                save_results(path, runs.scores_dir(each.run(seed)), describe_machine(device), hours)
            text = write_contest(runs.folder, read_results(runs.folder, contestants, asked.seeds), speed, command)
        return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.contest",
        allow_abbrev=False,
        description=f"{__doc__} Every knob of the training can be set too, such as --max_epochs 32, for all alike.",
    )
    parser.add_argument("--config_file", default="configs/train.json", help="of every training; or a list")
    parser.add_argument("--networks", nargs="+", required=True, help="overlays; all are compared with the first")
    parser.add_argument("--recipes", nargs="+", required=True, help="overlays in configs/recipes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--output_dir", type=Path, default=Path("eval/contest"), help="folder of models and table")
    parser.add_argument("--speed_size", type=int, default=256, help="side of the images that networks are timed on")
    default = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--speed_device", default=default, help="that they are timed on")
    return parser


if __name__ == "__main__":
    main()
