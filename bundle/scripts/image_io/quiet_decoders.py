# SPDX-License-Identifier: Apache-2.0

"""What libraries that decode images have to say besides their errors."""

from __future__ import annotations

import logging
import warnings

__all__ = ["leave_out"]

_LOGGERS = ("PIL", "tifffile", "nibabel.global", "pydicom")
_MODULES = "PIL|nibabel|pydicom|tifffile|png"


def leave_out() -> None:
    """Let libraries that decode images neither log nor warn in this process; their errors are raised as ever.

    Of a damaged file they tell dozens of lines, none of which names it, before they raise the error that we tell in one
    sentence with its name; of a sound one, what no user can mend, such as a private tag. They know no other switch.
    Calling it again changes nothing.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=rf"({_MODULES})(\.|$)")
