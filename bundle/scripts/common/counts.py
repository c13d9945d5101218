# SPDX-License-Identifier: Apache-2.0

"""Write numbers of things in words: "1 image", "2 images"."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str, verb: str = "", verb_of_several: str = "") -> str:
    """Return a number with its noun and verb, in the plural unless the number is 1.

    Args:
        count: the number.
        noun: the noun in the singular; its plural ends in "s".
        verb, verb_of_several: forms of the verb for one and for several things, such as "is" and "are".

    Example::

        >>> counted(1, "image"), counted(2, "image", "is", "are")
        ('1 image', '2 images are')
    """
    return f"{count} {noun} {verb}".rstrip() if count == 1 else f"{count} {noun}s {verb_of_several}".rstrip()
