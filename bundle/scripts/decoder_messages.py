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
