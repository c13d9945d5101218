# SPDX-License-Identifier: Apache-2.0

"""Make the folder of a run, and write the config that the run executes into it."""

from __future__ import annotations

import os
from pathlib import Path

import ignite.distributed as idist
from monai.bundle import ConfigParser

from ..common.active_config import calling_parser

__all__ = ["make_run_dir", "write_executed_config"]


def make_run_dir(output_dir: str | os.PathLike, run_name: str) -> str:
    """Make the folder of a run, before MLflow opens its database in ``output_dir``.

    MLflow itself cannot make that folder if its path has a blank. Only the first process of a job makes the folder.

    Args:
        output_dir: folder of all runs.
        run_name: name of the run in MLflow, and of its folder.

    Returns:
        The path of the run's folder.
    """
    folder = Path(output_dir) / run_name
    if idist.get_rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def write_executed_config(path: str | os.PathLike) -> str:
    """Write the config that is being executed as JSON, including overlays and values from the command line.

    Configs call this function.

    Args:
        path: path of the file, in an existing folder. Only the first process of a job writes.

    Returns:
        The path as a string.

    Raises:
        RuntimeError: if it is not called by a config.
    """
    parser = calling_parser()
    if idist.get_rank() == 0:
        # Values that Python code has set, such as a handler object, are not JSON; they are written as text.
        ConfigParser.export_config_file(parser.get(), path, indent=2, default=str)
    return str(path)
