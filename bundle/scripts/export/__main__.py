# SPDX-License-Identifier: Apache-2.0

"""Export a trained model for other programs: ``python -m scripts.export``, from the bundle's folder."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ..common.errors import InputError, explanation
from .formats import FORMATS, export

__all__ = ["main"]

_logger = logging.getLogger("qtseg")


def main(arguments: Sequence[str] | None = None) -> None:
    """Export a model and print the paths of the files.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.export", description=__doc__)
    parser.add_argument("--ckpt_dir", type=Path, default=Path("models"), help="folder of model.pt and model.json")
    parser.add_argument("--output_dir", type=Path, default=Path("eval/export"), help="folder for the files")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), help=f"some of {', '.join(FORMATS)}")
    parser.add_argument("--half", action="store_true", help="store the model of the zip in half precision")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    _logger.setLevel(logging.INFO)
    try:
        export(options.ckpt_dir, options.output_dir, options.formats, half=options.half)
    except (InputError, RuntimeError, OSError) as error:
        parser.exit(1, f"error: {explanation(error) or error}\n")


if __name__ == "__main__":
    main()
