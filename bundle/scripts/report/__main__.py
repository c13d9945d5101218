# SPDX-License-Identifier: Apache-2.0

"""Write the page of an evaluation again: ``python -m scripts.report EVALUATION_DIR``, from the bundle's folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..common.errors import explain_failures
from .page import write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, and print its path.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    explain_failures()
    parser = argparse.ArgumentParser(prog="python -m scripts.report", description=__doc__)
    parser.add_argument("evaluation_dir", help="folder with scores.csv and summary.json")
    parser.add_argument("--curves", help="curves.csv of the training; by default, the file that the evaluation used")
    options = parser.parse_args(arguments)
    print(write_report(options.evaluation_dir, curves=options.curves))


if __name__ == "__main__":
    main()
