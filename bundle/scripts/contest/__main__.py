# SPDX-License-Identifier: Apache-2.0

"""Train networks against each other on the same images: ``python -m scripts.contest``, from the bundle's folder."""

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

# what the contest or its overlays set for each training
_TAKEN = (
    *("seed", "ckpt_dir", "run_name", "run_prefix", "parent_run", "scores_dir"),
    *("network_name", *OPTIONS),
)
# which would fit one network alone
_NEVER = ("weights", "encoder_weights")


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
        if any(name in knobs for name in _NEVER):
            raise InputError(f"a contest trains from random weights; leave out {' and '.join(_NEVER)}")
        print(_hold(asked, knobs, f"python -m scripts.contest {as_typed(words)}"))
    except (InputError, RuntimeError, OSError) as error:  # MONAI hides the one in the other
        parser.exit(1, f"{explanation(error) or error}\n")


def _hold(asked: argparse.Namespace, knobs: Mapping[str, str], command: str) -> str:
    """Hold the contest, and write its table after each training, lest an interruption lose it."""
    runs = ScoredRuns(asked.output_dir.absolute(), asked.config_file, knobs, "settings.json")
    contestants = [Contestant(recipe, network) for recipe, network in product(asked.recipes, asked.networks)]
    overlays = {each: each.overlays(Path(runs.config_files[0]).parent) for each in contestants}
    for paths in overlays.values():
        check_free(knobs, paths)
    if asked.speed_size < 1 or asked.speed_size % STRIDE:
        raise InputError(f"speed_size is {asked.speed_size}; it must be divisible by {STRIDE}, such as 256")
    devices = usable_gpus(asked.devices)
    with runs.locked():
        configs = {each: runs.config(paths) for each, paths in overlays.items()}
        for config in configs.values():
            check_names(config.get())
            values = config.get_parsed_content("hyperparameters")
            for seed in asked.seeds:
                check_knobs({**values, "seed": seed})
        of_evaluation = runs.of_evaluation()
        config = configs[contestants[0]]
        data: DividedData = config.get_parsed_content("data")
        choose_fold(data.split, data.fold, data.datalist)  # which says so, if there is none of that number
        runs.remember(data.split, [data.fold])
        claims = {each: {**claim_of(config), **of_evaluation} for each, config in configs.items()}
        read_results(runs.folder, claims, asked.seeds)  # before anything is measured or trained, for what it refuses
        speed = _speed(runs, asked, overlays, configs)
        protocol = config.get_parsed_content("hyperparameters")["protocol"]
        device = torch.device(config.get_parsed_content("device"))

        def table() -> str:
            return write_contest(runs.folder, read_results(runs.folder, claims, asked.seeds), speed, command, protocol)

        one_at_a_time = Lock()

        def train(of: tuple[int, Contestant], gpu: str | None) -> None:
            seed, each = of
            name, path = each.run(seed), results_path(runs.folder, each, seed)
            claim_folder(runs.model_dir(name) / "training.json", claims[each])
            if not runs.has_scores(name):  # else it was cut off between the two
                runs.train_and_score(name, {"seed": str(seed)}, overlays=overlays[each], device=gpu)
            with one_at_a_time:
                machine, hours = describe_machine(device), runs.hours(name)
                save_results(path, runs.scores_dir(name), claim=claims[each], machine=machine, hours=hours)
                table()

        every = product(asked.seeds, contestants)  # all with one seed, before any with the next
        todo = [(seed, each) for seed, each in every if not results_path(runs.folder, each, seed).is_file()]
        spread(todo, devices, train)
        return table()


def _speed(
    runs: ScoredRuns,
    asked: argparse.Namespace,
    overlays: Mapping[Contestant, Sequence[str]],
    configs: Mapping[Contestant, ConfigParser],
) -> dict[str, Any]:
    """What the networks cost; kept in ``speed.json``, unless it was cut short."""
    device, path = torch.device(asked.speed_device), runs.folder / "speed.json"
    builds = {
        each.network: partial(build_network, [*runs.config_files, *paths], runs.knobs, device)
        for each, paths in overlays.items()
    }
    definitions = {each.network: definition_of(config) for each, config in configs.items()}
    speed = measured(path, builds, definitions, asked.speed_size, device)
    runs.stop_if_asked()
    write_json(path, speed)
    return speed


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
    add_devices(parser, "trainings")
    parser.add_argument("--speed_size", type=int, default=256, help="side of the images that networks are timed on")
    default = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--speed_device", default=default, help="that they are timed on")
    return parser


if __name__ == "__main__":
    main()
