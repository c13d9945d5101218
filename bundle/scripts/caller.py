# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

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
