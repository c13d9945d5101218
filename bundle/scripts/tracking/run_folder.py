# SPDX-License-Identifier: Apache-2.0

"""The folder of a run, and the config that the run executes, as a file in it."""

from __future__ import annotations

import os
from pathlib import Path

import ignite.distributed as idist
from monai.bundle import ConfigParser

from ..common.active_config import calling_parser

__all__ = ["make_run_dir", "write_executed_config"]


def make_run_dir(output_dir: str | os.PathLike, run_name: str) -> str:
    """Make the folder of a run, before MLflow opens its database beside it: in a path with a blank it cannot itself.

    Args:
        output_dir: folder of all runs.
        run_name: the run's name in MLflow. Only the first process of a job makes its folder.

    Returns:
        The folder's path.
    """
    folder = Path(output_dir) / run_name
    if idist.get_rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def write_executed_config(path: str | os.PathLike) -> str:
    """Write the config that is being executed, overlays and command-line values merged, as JSON.

    To be named in a config.

    Args:
        path: file to write, in a folder that exists. Only the first process of a job writes.

    Returns:
        The path as a string.

    Raises:
        RuntimeError: if not called by a config.
    """
    parser = calling_parser()
    if idist.get_rank() == 0:
        # values set from Python code (a handler object, say) are not JSON: their text stands for them
        ConfigParser.export_config_file(parser.get(), path, indent=2, default=str)
    return str(path)
