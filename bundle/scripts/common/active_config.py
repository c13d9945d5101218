# SPDX-License-Identifier: Apache-2.0

"""The config that is being executed."""

from __future__ import annotations

import inspect

from monai.bundle import ConfigParser

__all__ = ["calling_parser"]


def calling_parser() -> ConfigParser:
    """Return the parser of the config that calls this function.

    MONAI does not pass the parser to the functions that a config names. The parser is therefore searched among the
    callers of this function.

    Returns:
        The parser of the config, with all overrides of the command line.

    Raises:
        RuntimeError: if no config is among the callers.
    """
    frame = inspect.currentframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return parser
        frame = frame.f_back
    raise RuntimeError("no MONAI bundle config is among the callers; name this function in a config")
