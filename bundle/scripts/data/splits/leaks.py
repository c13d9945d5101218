# SPDX-License-Identifier: Apache-2.0

"""Find leaks: images that belong together but are in different parts of a fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...common.counts import counted
from ..duplicates import Pair
from .grouping import belong_together
from .split import Split

__all__ = ["find_leaks", "leak_text"]

_LISTED = 1000  # largest number of groups in a report


def find_leaks(pairs: Sequence[Pair], split: Split) -> list[dict[str, Any]]:
    """Find images that belong together, by their groups or as near-duplicates, but are in different parts of a fold.

    Args:
        pairs: near-duplicates among the images.
        split: the split, with the groups of the images.

    Returns:
        ``{"fold": number, "num_groups": count, "groups": [{"train": image, "test": image}, ...]}`` for every fold with
        leaks. An entry of ``"groups"`` names one example image from every part that has images of the group.
    """
    together = belong_together(split.groups, pairs).tolist()
    leaks = []
    for number, fold in enumerate(split.folds):
        # Under the paper's protocol, a scored image is in two parts: validate and test. Only test counts here.
        part = {i: name for name, positions in asdict(fold).items() for i in positions}
        examples: dict[int, dict[str, str]] = {}
        for i, name in part.items():
            examples.setdefault(together[i], {}).setdefault(name, split.images[i])
        parted = [images for images in examples.values() if len(images) > 1]
        if parted:
            leaks.append({"fold": number, "num_groups": len(parted), "groups": parted[:_LISTED]})
    return leaks


def leak_text(leak: dict[str, Any]) -> str:
    """Return one sentence that says what the leak of a fold means.

    Args:
        leak: an entry from :py:func:`find_leaks`.
    """
    return (
        f"fold {leak['fold']} parts {counted(leak['num_groups'], 'group')} of images that belong together "
        "(near-duplicates, or one group by the knob); what is judged on them looks too good"
    )
