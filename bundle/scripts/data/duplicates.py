# SPDX-License-Identifier: Apache-2.0

"""Find near-duplicates: one picture encoded anew, resized, brightened, mirrored, turned or padded; video frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .likeness import Likeness
from .survey import Facts
from .thumbnails import from_text

__all__ = ["NearDuplicates", "Pair", "clusters", "near_duplicates"]

#: positions of two images, and their likeness, at most 1
Pair = tuple[int, int, float]

_BLOCK = 1024  # images that are compared with as many others at a time
_KEPT = 100_000  # number of pairs above which only those are kept that connect sets of images


class NearDuplicates(list[Pair]):
    """The pairs of images that are near-duplicates, from the most alike pair to the least alike one.

    If there are very many pairs, as among the frames of a still video, not all of them are in the list. But those in
    it connect the same images, directly or through others, as all pairs do.

    Attributes:
        total: number of all pairs.
    """

    def __init__(self, pairs: Iterable[Pair] = (), total: int | None = None) -> None:
        super().__init__(sorted(pairs, key=lambda pair: -pair[2]))
        self.total = len(self) if total is None else total


def near_duplicates(facts: Sequence[Facts]) -> NearDuplicates:
    """Find the pairs of images whose thumbnails are alike, as :py:class:`.likeness.Likeness` compares them.

    Encoding, size, brightness, contrast, padding, and mirroring or turning by multiples of 90 degrees do not matter.
    Copies that were cropped into their content or turned by other angles are not found. Constant images are left out.

    The memory grows with the number of images, not with that of pairs. Among images that differ, the time is mostly
    that of a bound, which takes a small part of the time of comparing all pairs.

    Args:
        facts: the facts of all images.

    Returns:
        The pairs, tuples ``(i, j, likeness)`` with positions ``i < j``. The likeness is 1 for equal pixels. It is the
        larger one of the likenesses of the whole images and of their contents without uniform borders.
    """
    positions = np.array([i for i, image in enumerate(facts) if image.thumbnail], int)
    if not len(positions):
        return NearDuplicates()
    thumbnails = np.stack([from_text(facts[i].thumbnail) for i in positions])
    whole = Likeness(thumbnails)
    has_border = np.array([bool(facts[i].content) for i in positions])
    content = None
    if has_border.any():
        thumbnails[has_border] = [from_text(facts[i].content) for i in positions[has_border]]
        content = Likeness(thumbnails, are_contents=True)
    kept = _Pairs(len(positions))
    blocks = [slice(start, min(start + _BLOCK, len(positions))) for start in range(0, len(positions), _BLOCK)]
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            if kept.are_connected(rows, columns) and whole.all_alike(rows, columns):
                kept.count(rows, columns)
                continue
            likeness = whole.alike(rows, columns)
            either = has_border[rows, None] | has_border[None, columns]
            if content is not None and either.any() and (of_content := content.alike(rows, columns)) is not None:
                of_content *= either
                likeness = of_content if likeness is None else np.maximum(likeness, of_content)
            if likeness is not None:
                kept.add(np.triu(likeness, k=1) if rows == columns else likeness, rows.start, columns.start)
    return NearDuplicates(kept.listed(facts, positions), kept.total)


def clusters(count: int, pairs: Sequence[tuple[Any, ...]]) -> NDArray[np.intp]:
    """Number the sets of images that pairs connect, directly or through other images.

    Args:
        count: number of images.
        pairs: tuples that start with the positions of two images. The rest of a tuple is not used.

    Returns:
        (count,) number of the set of every image.
    """
    return _connected(count, *([pair[end] for pair in pairs] for end in (0, 1)))


class _Pairs:
    """Pairs that are alike, as blocks of them are found: all, or, of very many, those that connect sets of images."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.total = 0
        self._ends = np.empty((2, 0), int)
        self._likeness = np.empty(0, np.float32)
        self._sets: NDArray[np.intp] | None = None  # number of the set of every image, if not all pairs are kept

    def add(self, likeness: NDArray[np.float32], row: int, column: int) -> None:
        """Take the pairs of a block.

        Args:
            likeness: (R, C) likeness of pairs that are alike, and 0 for all other pairs.
            row, column: positions of the first images.
        """
        self.total += int(np.count_nonzero(likeness))
        if self.total <= _KEPT:
            self._keep(likeness, np.stack(np.nonzero(likeness)), row, column)
            return
        own, other = (slice(start, start + size) for start, size in zip((row, column), likeness.shape))
        if self._sets is None:
            self._sets = _connected(self._count, *self._ends)
        while True:
            likeness = np.where(self._sets[own, None] == self._sets[None, other], 0, likeness)
            if not likeness.any():
                return
            # the most alike image of another set for every image, but only one pair for two sets
            i, j = np.flatnonzero(likeness.any(1)), np.flatnonzero(likeness.any(0))
            ends = np.stack([np.append(i, likeness[:, j].argmax(0)), np.append(likeness[i].argmax(1), j)])
            sets = np.sort([self._sets[own][ends[0]], self._sets[other][ends[1]]], axis=0)
            self._keep(likeness, ends[:, np.unique(sets, axis=1, return_index=True)[1]], row, column)
            self._sets = _connected(self._count, *self._ends)

    def are_connected(self, rows: slice, columns: slice) -> bool:
        """Return whether more pairs of two blocks would only be counted, as they are in one set already."""
        if self._sets is None:
            return False
        sets = np.concatenate([self._sets[rows], self._sets[columns]])
        return bool((sets == sets[0]).all())

    def count(self, rows: slice, columns: slice) -> None:
        """Count all pairs of two blocks, which are in one set already."""
        size = rows.stop - rows.start
        self.total += size * (size - 1) // 2 if rows == columns else size * (columns.stop - columns.start)

    def listed(self, facts: Sequence[Facts], positions: NDArray[np.intp]) -> list[Pair]:
        """Return the pairs that are kept, by the positions of the images among the facts.

        Args:
            facts: the facts of all images.
            positions: positions of the images that were compared.
        """
        pairs = []
        for i, j, value in zip(*positions[self._ends].tolist(), self._likeness.tolist()):
            pairs.append((i, j, 1.0 if facts[i].digest == facts[j].digest else round(min(value, 1.0), 4)))
        return pairs

    def _keep(self, likeness: NDArray[np.float32], ends: NDArray[np.intp], row: int, column: int) -> None:
        self._ends = np.concatenate([self._ends, ends + [[row], [column]]], axis=1)
        self._likeness = np.append(self._likeness, likeness[ends[0], ends[1]])


def _connected(count: int, first: Sequence[int], second: Sequence[int]) -> NDArray[np.intp]:
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
