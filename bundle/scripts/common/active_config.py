# SPDX-License-Identifier: Apache-2.0

"""The config that is being executed."""

from __future__ import annotations

import inspect

from monai.bundle import ConfigParser

__all__ = ["calling_parser"]


def calling_parser() -> ConfigParser:
    """The parser of the config that calls; MONAI gives no handle on it, but it is among the callers.

    Raises:
        RuntimeError: if not called by a config.
    """
    frame = inspect.currentframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return parser
        frame = frame.f_back
    raise RuntimeError("no MONAI bundle config is among the callers; name this function in a config")
