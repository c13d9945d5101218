# SPDX-License-Identifier: Apache-2.0

"""Write the page of an evaluation anew: ``python -m scripts.report EVALUATION_DIR``, from the bundle's folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..common.errors import explain_failures
from .page import write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, and say where it is.

    Args:
        arguments: of the command line; None for those of this process.
    """
    explain_failures()
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description=__doc__)
    parser.add_argument("evaluation_dir", help="folder with scores.csv and summary.json")
    parser.add_argument("--curves", help="the training's curves.csv; default: as when it was evaluated")
    asked = parser.parse_args(arguments)
    print(write_report(asked.evaluation_dir, curves=asked.curves))


if __name__ == "__main__":
    main()
