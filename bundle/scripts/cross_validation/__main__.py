# SPDX-License-Identifier: Apache-2.0

"""Train and score all folds of a dataset: ``python -m scripts.cross_validation``, from the bundle's folder."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..common.command_line import knobs_of
from ..common.errors import InputError, explanation
from ..common.knobs import check_knobs, check_names
from ..data.data_check import report_check
from ..data.fold_check import check_folds
from ..data.prepared import DividedData
from ..experiments.device_pool import add_devices, spread, usable_gpus
from ..training.fingerprint import claim_folder, claim_of
from .fold_runs import FoldRuns
from .fold_table import write_fold_table
from .parent_run import ParentRun

__all__ = ["cross_validate", "main"]

# knobs that the cross-validation sets for every fold
_TAKEN = ("fold", "ckpt_dir", "run_name", "run_prefix")

_logger = logging.getLogger("qtseg")


def cross_validate(
    config_file: str, knobs: Mapping[str, str], *, output_dir: Path, folds: Sequence[int], devices: Sequence[str]
) -> str:
    """Train and score the folds that are not complete yet, and summarize all complete folds.

    Args:
        config_file: config file of the training, or a list of them, as for ``monai.bundle run``.
        knobs: names and values of knobs, as on the command line of ``monai.bundle run``.
        output_dir: folder of all folds. A folder that was started with other settings is refused.
        folds: numbers of the folds to train now; empty for all folds.
        devices: numbers of the GPUs to spread the folds over; empty to train one fold after another on the device that
            the config names.

    Returns:
        The table of the complete folds, in Markdown.

    Raises:
        InputError: if the folder belongs to other trainings or is in use, or if the data or a knob is wrong.
        RuntimeError: if a fold fails. The complete folds are summarized, and no other fold is started.
    """
    devices = usable_gpus(devices)
    runs = FoldRuns(output_dir, config_file, knobs)
    with runs.locked():
        config = runs.config()
        check_names(config.get())
        check_knobs({**config.get_parsed_content("hyperparameters"), **runs.of_evaluation()})
        report = config.get_parsed_content("data_check")
        data: DividedData = config.get_parsed_content("data")
        split = data.split
        if unknown := [fold for fold in folds if not 0 <= fold < len(split.folds)]:
            raise InputError(f"folds has {unknown[0]}, but the split has the folds 0 to {len(split.folds) - 1}")
        if len(split.folds) < 2:
            raise InputError("the split has one fold; set --split grouped, which cuts all images anew")
        runs.remember(split, range(len(split.folds)))
        claim_file = runs.folder / "training.json"
        if not claim_file.is_file() and any(map(runs.is_done, range(len(split.folds)))):
            raise InputError(f"{runs.folder} has folds of an earlier version, maybe others; give another --output_dir")
        claim_folder(claim_file, claim_of(config))
        hyperparameters = config.get_parsed_content("hyperparameters")
        fold_problems = check_folds(split, range(len(split.folds)), data.facts, hyperparameters)
        report_check(report, data.leaks, runs.folder / "data_check.json", fold_problems)
        selected = dict.fromkeys(folds or range(len(split.folds)))  # without duplicates
        todo = [fold for fold in selected if not runs.is_done(fold)]
        _logger.info(f"folds:    {len(split.folds)}, to train now: {', '.join(map(str, todo)) or 'none, all are done'}")
        table = ""
        with ParentRun(config, runs.folder) as parent:
            try:
                spread(todo, devices, lambda fold, device: runs.run(fold, device=device, parent_run=parent.run_id))
            finally:  # also after an error or a signal, the complete folds are summarized
                done = [fold for fold in range(len(split.folds)) if runs.is_done(fold)]
                if done:
                    table, means = write_fold_table(runs.folder, {fold: runs.evaluation(fold) for fold in done})
                    parent.log(means, runs.folder)
        return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Cross-validate and print the table.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.cross_validation",
        allow_abbrev=False,  # --fold must not be read as --folds
        description=f"{__doc__} Every knob of the training can be set too, such as --num_folds 5 --max_epochs 100.",
    )
    parser.add_argument("--config_file", default="configs/train.json", help="config file of the training, or a list")
    parser.add_argument("--output_dir", type=Path, default=Path("eval/cross_validation"), help="folder of all folds")
    parser.add_argument("--folds", type=int, nargs="+", default=[], help="train only these folds")
    add_devices(parser, "folds")
    options, rest = parser.parse_known_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        folder = options.output_dir.absolute()
        knobs = knobs_of(rest, taken=_TAKEN, by="fold by the cross-validation")
        table = cross_validate(
            options.config_file, knobs, output_dir=folder, folds=options.folds, devices=options.devices
        )
        print(table)
    except (InputError, RuntimeError, OSError) as error:  # MONAI wraps an InputError in a RuntimeError
        parser.exit(1, f"{explanation(error) or error}\n")


if __name__ == "__main__":
    main()
