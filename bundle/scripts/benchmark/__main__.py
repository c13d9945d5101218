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
    """Measure, print the table, and write it with the figures and a plot.

    Args:
        arguments: of the command line; None for those of this process.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.rounds < 2:
        parser.error(f"--rounds is {asked.rounds}; a spread takes at least 2")
    asked.dataset_dir = asked.dataset_dir or str(make_dataset(SYNTHETIC))
    asked.images = asked.images or str(Path(asked.dataset_dir) / "images")
    if not Path(asked.images).is_dir():
        parser.error(f"{asked.images} is not a folder; name one of images by --images")
    figures: dict[str, Any] = {
        "machine": describe_machine(asked.device),
        "command": "python -m scripts.benchmark " + as_typed(sys.argv[1:] if arguments is None else arguments),
        "batch": asked.batch,
        "size": {},
        "journey": {},
    }
    text = ""
    for _ in _measure(asked, figures):
        text = write_report(Path(asked.output_dir), figures)  # after each part, lest a long run lose all
    print(text)


def _measure(asked: argparse.Namespace, figures: dict[str, Any]) -> Iterator[None]:
    """Fill ``figures``, part by part."""
    device, few = asked.device, max(3, asked.rounds // 5)  # fewer rounds of what takes long
    every = inferring(asked.weights, device, compiles=asked.compile)
    predicting, learning = (_chosen(found, asked.only) for found in (every, training(asked.weights, device)))
    for size in asked.sizes:
        networks: dict[str, dict[str, Any]] = {}
        figures["size"][str(size)] = networks
        for name, build in predicting.items():
            # torch cannot count what is compiled; it computes what the folded form does
            opaque = name.endswith(("TorchScript", "compiled"))
            parameters, gmacs = count(every["QTSeg, folded"] if opaque else build, size)
            networks[name] = {"parameters": parameters, "gmacs": gmacs}
        _say(f"{size} x {size}: latency")
        for name, figure in latency(predicting, size, 1, device, asked.rounds).items():
            networks[name]["latency"] = figure
        yield
        _say(f"{size} x {size}: throughput")
        for name, figure in latency(predicting, size, asked.batch, device, few).items():
            networks[name]["throughput"] = 1000 * asked.batch / figure["median"]
        yield
        _say(f"{size} x {size}: training steps and their memory")
        for name, figure in train_step(learning, size, asked.batch, device, few).items():
            networks[name]["memory"] = figure.pop("memory")
            networks[name]["step"] = figure
        yield
        _say(f"{size} x {size}: an epoch, and files to masks")
        data, masks = (asked.dataset_dir, asked.layout, size, asked.batch), (asked.images, asked.weights, size)
        figures["journey"][f"epoch at {size}"] = in_own_process(epoch, *data, device, few)
        figures["journey"][f"files to masks at {size}"] = in_own_process(files_to_masks, *masks, device, few)
        yield


def _say(what: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}  measuring {what}", file=sys.stderr, flush=True)


def _chosen(contenders: dict[str, Any], only: str | None) -> dict[str, Any]:
    return {name: build for name, build in contenders.items() if only is None or name.startswith(only)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="sides of the images in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images of a batch, for throughput and training")
    parser.add_argument("--rounds", type=int, default=15, help="how often each network predicts one image, in turn")
    parser.add_argument("--device", type=torch.device, default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--weights", help="a trained model with two classes; without, weights are random")
    parser.add_argument("--only", help="measure networks whose names start so")
    parser.add_argument("--compile", action="store_true", help="measure a compiled QTSeg too")
    parser.add_argument("--dataset_dir", help="images and masks for an epoch; without, synthetic ones")
    parser.add_argument("--layout", default="folder", help="how they lie there")
    parser.add_argument("--images", help="a folder of images for files to masks; without, those of dataset_dir")
    parser.add_argument("--output_dir", default="eval/benchmark", help="where table, figures and plot are written")
    return parser


if __name__ == "__main__":
    main()
