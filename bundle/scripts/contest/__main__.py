# SPDX-License-Identifier: Apache-2.0

"""Train and compare networks on the same images: ``python -m scripts.contest``, from the bundle's folder."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from monai.bundle import ConfigParser

from ..benchmark.machine import describe_machine
from ..common.command_line import as_typed, knobs_of
from ..common.errors import InputError, explanation
from ..common.files import write_json
from ..common.knobs import check_knobs, check_names
from ..common.limits import STRIDE
from ..data.prepared import DividedData
from ..data.splits.choose import choose_fold
from ..experiments.device_pool import add_devices, spread, usable_gpus
from ..experiments.scored_runs import ScoredRuns
from ..networks.qtseg import OPTIONS
from ..training.fingerprint import claim_folder, claim_of
from .contestants import Contestant, build_network, check_free, definition_of
from .results import read_results, results_path, save_results
from .speed import measured
from .table import write_contest

# knobs that the contest or its overlays set for every training
_TAKEN = (
    *("seed", "ckpt_dir", "run_name", "run_prefix", "parent_run", "scores_dir"),
    *("network_name", *OPTIONS),
)
# knobs that are useful for one network only
_NEVER = ("weights", "encoder_weights")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score every network with every recipe and every seed, and print the table.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options, rest = parser.parse_known_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        knobs = knobs_of(rest, taken=_TAKEN, by="training by the contest")
        if any(name in knobs for name in _NEVER):
            raise InputError(f"a contest trains from random weights; leave out {' and '.join(_NEVER)}")
        print(_run_contest(options, knobs, f"python -m scripts.contest {as_typed(words)}"))
    except (InputError, RuntimeError, OSError) as error:  # MONAI wraps an InputError in a RuntimeError
        parser.exit(1, f"{explanation(error) or error}\n")


def _run_contest(options: argparse.Namespace, knobs: Mapping[str, str], command: str) -> str:
    """Run the contest and return its table, which is also written after every training."""
    runs = ScoredRuns(options.output_dir.absolute(), options.config_file, knobs, "settings.json")
    contestants = [Contestant(recipe, network) for recipe, network in product(options.recipes, options.networks)]
    overlays = {contestant: contestant.overlays(Path(runs.config_files[0]).parent) for contestant in contestants}
    for paths in overlays.values():
        check_free(knobs, paths)
    if options.speed_size < 1 or options.speed_size % STRIDE:
        raise InputError(f"speed_size is {options.speed_size}; it must be divisible by {STRIDE}, such as 256")
    devices = usable_gpus(options.devices)
    with runs.locked():
        configs = {contestant: runs.config(paths) for contestant, paths in overlays.items()}
        for config in configs.values():
            check_names(config.get())
            values = config.get_parsed_content("hyperparameters")
            for seed in options.seeds:
                check_knobs({**values, "seed": seed})
        evaluation_knobs = runs.of_evaluation()
        config = configs[contestants[0]]
        data: DividedData = config.get_parsed_content("data")
        choose_fold(data.split, data.fold, data.datalist)  # raises an error if there is no such fold
        runs.remember(data.split, [data.fold])
        claims = {
            contestant: {**claim_of(config), **evaluation_knobs} for contestant, config in configs.items()
        }
        # Check the results that exist already, before anything is measured or trained.
        read_results(runs.folder, claims, options.seeds)
        speed = _speed(runs, options, overlays, configs)
        protocol = config.get_parsed_content("hyperparameters")["protocol"]
        device = torch.device(config.get_parsed_content("device"))

        def table() -> str:
            results = read_results(runs.folder, claims, options.seeds)
            return write_contest(runs.folder, results, speed, command, protocol)

        table_lock = Lock()

        def train(job: tuple[int, Contestant], gpu: str | None) -> None:
            seed, contestant = job
            name, path = contestant.run(seed), results_path(runs.folder, contestant, seed)
            claim_folder(runs.model_dir(name) / "training.json", claims[contestant])
            if not runs.has_scores(name):  # a run with scores was interrupted before they were saved as results
                runs.train_and_score(name, {"seed": str(seed)}, overlays=overlays[contestant], device=gpu)
            with table_lock:
                machine, hours = describe_machine(device), runs.hours(name)
                save_results(path, runs.scores_dir(name), claim=claims[contestant], machine=machine, hours=hours)
                table()  # so that an interruption loses no results

        jobs = product(options.seeds, contestants)  # all contestants with one seed, before any with the next seed
        todo = [
            (seed, contestant)
            for seed, contestant in jobs
            if not results_path(runs.folder, contestant, seed).is_file()
        ]
        spread(todo, devices, train)
        return table()


def _speed(
    runs: ScoredRuns,
    options: argparse.Namespace,
    overlays: Mapping[Contestant, Sequence[str]],
    configs: Mapping[Contestant, ConfigParser],
) -> dict[str, Any]:
    """Measure what the networks cost, and save it in ``speed.json``, unless the measurement was interrupted."""
    device, path = torch.device(options.speed_device), runs.folder / "speed.json"
    builds = {
        contestant.network: partial(build_network, [*runs.config_files, *paths], runs.knobs, device)
        for contestant, paths in overlays.items()
    }
    definitions = {contestant.network: definition_of(config) for contestant, config in configs.items()}
    speed = measured(path, builds, definitions, options.speed_size, device)
    runs.stop_if_asked()
    write_json(path, speed)
    return speed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.contest",
        allow_abbrev=False,
        description=f"{__doc__} Knobs of the training can be set for all networks, such as --max_epochs 32.",
    )
    parser.add_argument("--config_file", default="configs/train.json", help="config file of every training, or a list")
    parser.add_argument("--networks", nargs="+", required=True, help="overlays; all are compared with the first one")
    parser.add_argument("--recipes", nargs="+", required=True, help="overlays in configs/recipes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the trainings")
    parser.add_argument("--output_dir", type=Path, default=Path("eval/contest"), help="folder for models and table")
    add_devices(parser, "trainings")
    parser.add_argument("--speed_size", type=int, default=256, help="side of the images for timing, in pixels")
    default = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--speed_device", default=default, help="device for timing the networks")
    return parser


if __name__ == "__main__":
    main()
