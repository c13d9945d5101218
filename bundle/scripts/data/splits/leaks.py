# SPDX-License-Identifier: Apache-2.0

"""Images that belong together and are in different parts of a fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..duplicates import Pair
from .grouping import belong_together
from .split import Split

__all__ = ["find_leaks", "leak_text"]

_LISTED = 1000  # groups in a report


def find_leaks(pairs: Sequence[Pair], split: Split) -> list[dict[str, Any]]:
    """Images that belong together, by their group or as near-duplicates, and are in different parts of a fold.

    Args:
        pairs: near-duplicates among the images.
        split: the division, and the groups.

    Returns:
        ``{"fold": number, "num_groups": count, "groups": [{"train": image, "test": image}, ...]}`` for every fold that
        has any: one image of each part that has some.
    """
    together = belong_together(split.groups, pairs).tolist()
    leaks = []
    for number, fold in enumerate(split.folds):
        # under the paper's protocol an image is in two parts, of which the test counts
        part = {i: name for name, positions in asdict(fold).items() for i in positions}
        found: dict[int, dict[str, str]] = {}
        for i, name in part.items():
            found.setdefault(together[i], {}).setdefault(name, split.images[i])
        parted = [images for images in found.values() if len(images) > 1]
        if parted:
            leaks.append({"fold": number, "num_groups": len(parted), "groups": parted[:_LISTED]})
    return leaks


def leak_text(leak: dict[str, Any]) -> str:
    """What a fold's leak means, one sentence.

    Args:
        leak: of :py:func:`find_leaks`.
    """
    return (
        f"fold {leak['fold']} parts {leak['num_groups']} group(s) of images that belong together (near-duplicates, or "
        "one group by the knob); what is judged on them looks too good"
    )
