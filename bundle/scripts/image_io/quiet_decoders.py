# SPDX-License-Identifier: Apache-2.0

"""Silence the log messages and warnings of libraries that decode images."""

from __future__ import annotations

import logging
import warnings

__all__ = ["leave_out"]

_LOGGERS = ("PIL", "tifffile", "nibabel.global", "pydicom")
_MODULES = "PIL|nibabel|pydicom|tifffile|png"


def leave_out() -> None:
    """Stop the log messages and warnings of libraries that decode images, in this process. They still raise errors.

    For a damaged file, these libraries log dozens of lines that do not name the file, and then raise an error. The
    bundle reports that error in one sentence that names the file. For a sound file, they log details that no user can
    change, such as a private tag. The libraries have no other switch. Calling this function again changes nothing.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=rf"({_MODULES})(\.|$)")
