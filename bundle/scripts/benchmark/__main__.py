# SPDX-License-Identifier: Apache-2.0

"""Command line of the benchmark: ``python -m scripts.benchmark``, from the bundle's folder."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..common.command_line import as_typed
from ..common.paths import SYNTHETIC
from ..data.synthetic.dataset import make_dataset
from .contenders import inferring, training
from .end_to_end import epoch, files_to_masks
from .machine import describe_machine
from .measure import count, in_own_process, latency, train_step
from .report import write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the table, the figures and a plot to files.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.rounds < 2:
        parser.error(f"--rounds is {options.rounds}; a spread takes at least 2")
    options.dataset_dir = options.dataset_dir or str(make_dataset(SYNTHETIC))
    options.images = options.images or str(Path(options.dataset_dir) / "images")
    if not Path(options.images).is_dir():
        parser.error(f"{options.images} is not a folder; name a folder of images by --images")
    figures: dict[str, Any] = {
        "machine": describe_machine(options.device),
        "command": "python -m scripts.benchmark " + as_typed(sys.argv[1:] if arguments is None else arguments),
        "batch": options.batch,
        "size": {},
        "journey": {},
    }
    text = ""
    for _ in _measure(options, figures):
        # Write after each part, so that an interrupted run keeps its figures.
        text = write_report(Path(options.output_dir), figures)
    print(text)


def _measure(options: argparse.Namespace, figures: dict[str, Any]) -> Iterator[None]:
    """Measure part by part, and add each part to ``figures``."""
    device, few_rounds = options.device, max(3, options.rounds // 5)  # fewer rounds for slow parts
    builders = inferring(options.weights, device, compiles=options.compile)
    predicting = _select(builders, options.only)
    learning = _select(training(options.weights, device), options.only)
    for size in options.sizes:
        networks: dict[str, dict[str, Any]] = {}
        figures["size"][str(size)] = networks
        for name, build in predicting.items():
            # torch's counter cannot read compiled networks; the folded form does the same computation
            opaque = name.endswith(("TorchScript", "compiled"))
            parameters, gmacs = count(builders["QTSeg, folded"] if opaque else build, size)
            networks[name] = {"parameters": parameters, "gmacs": gmacs}
        _print_progress(f"{size} x {size}: latency")
        for name, figure in latency(predicting, size, 1, device, options.rounds).items():
            networks[name]["latency"] = figure
        yield
        _print_progress(f"{size} x {size}: throughput")
        for name, figure in latency(predicting, size, options.batch, device, few_rounds).items():
            networks[name]["throughput"] = 1000 * options.batch / figure["median"]
        yield
        _print_progress(f"{size} x {size}: training steps and their memory")
        for name, figure in train_step(learning, size, options.batch, device, few_rounds).items():
            networks[name]["memory"] = figure.pop("memory")
            networks[name]["step"] = figure
        yield
        _print_progress(f"{size} x {size}: an epoch, and files to masks")
        figures["journey"][f"epoch at {size}"] = in_own_process(
            epoch, options.dataset_dir, options.layout, size, options.batch, device, few_rounds
        )
        figures["journey"][f"files to masks at {size}"] = in_own_process(
            files_to_masks, options.images, options.weights, size, device, few_rounds
        )
        yield


def _print_progress(part: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}  measuring {part}", file=sys.stderr, flush=True)


def _select(contenders: dict[str, Any], only: str | None) -> dict[str, Any]:
    return {name: build for name, build in contenders.items() if only is None or name.startswith(only)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="sides of the images in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images in a batch, for throughput and training")
    parser.add_argument("--rounds", type=int, default=15, help="how often each network predicts one image")
    parser.add_argument("--device", type=torch.device, default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--weights", help="a trained model with two classes; by default, weights are random")
    parser.add_argument("--only", help="measure only networks whose names start with this text")
    parser.add_argument("--compile", action="store_true", help="also measure a compiled QTSeg")
    parser.add_argument("--dataset_dir", help="dataset for the epoch; by default, synthetic images")
    parser.add_argument("--layout", default="folder", help="layout of the dataset")
    parser.add_argument("--images", help="folder of images for files to masks; by default, in --dataset_dir")
    parser.add_argument("--output_dir", default="eval/benchmark", help="folder for table, figures and plot")
    return parser


if __name__ == "__main__":
    main()
