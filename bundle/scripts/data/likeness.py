# SPDX-License-Identifier: Apache-2.0

"""Compare the thumbnails of many images, also mirrored and turned, without comparing every pair in full.

Everything is computed in the frequency domain. The cosine transform is orthonormal, so distances stay the same there.
Mirroring a thumbnail changes signs of its spectrum, and transposing it transposes its spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idct
from scipy.ndimage import gaussian_filter1d

from .thumbnails import THUMBNAIL

__all__ = ["Likeness"]

Floats = NDArray[np.float32]

_COARSE = 3  # standard deviation in pixels of the thumbnail; coarser structures count as illumination, not as content
# Smallest likeness of near-duplicates. For copies of images of DSB2018, ISIC 2016, BUSI and CHASE_DB1 (JPEG of quality
# 40, a quarter or 1.7 times the size, brightened) it was 0.98 or more. For other images it was 0.88 or less.
_ALIKE = 0.9
# The same for mirrored and turned images, where the best of seven comparisons counts, and for contents, whose round
# frames lie exactly on each other: 0.91 or less for other images.
_ALIKE_CHANGED = 0.93
# The same if all images show one picture, such as a video without motion: there is no other picture to subtract.
_ALIKE_IN_ONE_PICTURE = 0.98
_LEAST_DETAIL = 1e-3  # length of the details of a thumbnail, in grey values; below, it is constant
_SAMPLE = 1024  # images that stand for all: for the mean, and for the number of frequencies in the bound
_FREQUENCIES = (64, 128, 256, 512, THUMBNAIL**2)  # numbers of frequencies that the bound may take
_COST = 0.6  # of comparing two images in full, relative to one more frequency for a million pairs (measured)
_FEW = 4096  # pairs in a block; more of them are compared faster by a product of matrices
_ROUNDING = 1e-4  # upper limit of the error of single precision in a sum of products
_ROWS = 4096  # images whose intermediate results are in memory at a time

#: mirrored vertically, mirrored horizontally, transposed: the seven ways that change an image
_TURNS = [(up, left, swap) for swap in (False, True) for up in (False, True) for left in (False, True)][1:]


class Likeness:
    """Find which of many thumbnails are alike.

    The likeness of two images is the correlation of the details in their thumbnails, after the mean of all images is
    subtracted. So encoding, size, brightness, contrast, and a frame that all images share do not matter. In the mean,
    images that look the same count once. The second image of a pair is also compared mirrored and turned by multiples
    of 90 degrees, in eight ways in all. There, the mean of these ways is subtracted.

    Most pairs are left out by a bound, and never a pair that is alike: if signs are dropped from a spectrum, and it is
    sorted against its transpose, then it is the same for all eight ways, and two such spectra are at most as far apart
    as the images. The bound takes the frequencies that vary most, and the length of the rest.

    Args:
        thumbnails: (N, 32, 32) grey values of the images.
        are_contents: whether the thumbnails show the contents of the images, without borders.

    Attributes:
        has_detail: (N,) whether a thumbnail is more than constant. Constant ones are like no other.
    """

    def __init__(self, thumbnails: NDArray[np.uint8], *, are_contents: bool = False) -> None:
        self._spectra = _by_parts(_details, thumbnails)  # (N, 1024), of length 1, or 0 for constant thumbnails
        self.has_detail = np.asarray(self._spectra.any(axis=1))
        step = max(1, len(thumbnails) // _SAMPLE)
        pictures = _pictures(self._spectra[self.has_detail][::step])
        several = len(pictures) > 1
        self._limit = _ALIKE_CHANGED if are_contents else _ALIKE
        self._turned_limit = _ALIKE_CHANGED
        if not several:
            self._limit = self._turned_limit = _ALIKE_IN_ONE_PICTURE
        self._mean = pictures.mean(0) if several else np.zeros(THUMBNAIL**2, np.float32)
        self._turned_mean = _symmetric(self._mean)
        # distances of every image from both means, and from its own mirrored and turned forms
        self._own = _by_parts(lambda part: np.linalg.norm(part - self._mean, axis=1), self._spectra)
        self._turned_own = _by_parts(lambda part: np.linalg.norm(part - self._turned_mean, axis=1), self._spectra)
        self._asymmetry = [_by_parts(partial(_asymmetry, turn=turn), self._spectra) for turn in _TURNS]
        self._middles: dict[int, tuple[Floats, float]] = {}  # by the first position of a block
        self._frequencies = self._choose_frequencies(slice(None, None, step))
        self._unsigned = _by_parts(lambda part: _shortened(_unsigned(part), self._frequencies), self._spectra)

    def all_alike(self, rows: slice, columns: slice) -> bool:
        """Return whether all images of two blocks are sure to be alike, as frames of a still video are.

        They are if the images of each block lie so close to the middle of the block, and both middles so close to each
        other, that no two images can be far apart.

        Args:
            rows, columns: positions of the images.
        """
        (first, first_radius), (second, second_radius) = self._middle(rows), self._middle(columns)
        farthest = float(np.linalg.norm(first - second)) + first_radius + second_radius + _ROUNDING
        return 1 - farthest**2 / 2 >= self._limit

    def alike(self, rows: slice, columns: slice) -> Floats | None:
        """Compare every image of a block with every image of another block.

        Args:
            rows, columns: positions of the images.

        Returns:
            (rows, columns) likeness of the pairs that are alike, and 0 for all other pairs. None if no pair is alike.
        """
        maybe = self._maybe(self._unsigned[rows], self._unsigned[columns], rows, columns)
        count = np.count_nonzero(maybe)
        if not count:
            return None
        likeness = np.zeros(maybe.shape, np.float32)
        if count > _FEW:
            values = self._apart(rows) @ self._apart(columns).T
            np.copyto(likeness, values, where=maybe & (values >= self._limit))
            i, j = np.nonzero(maybe & (values < self._limit))
            values = values[i, j]
        else:
            i, j = np.nonzero(maybe)
            values = self._correlations(i + rows.start, j + columns.start)
            is_alike = values >= self._limit
            likeness[i[is_alike], j[is_alike]] = values[is_alike]
            i, j, values = i[~is_alike], j[~is_alike], values[~is_alike]
        first, second = i + rows.start, j + columns.start
        for number, turn in enumerate(_TURNS):
            todo = np.flatnonzero(self._may_be_turned(first, second, values, number))
            turned = self._correlations(first[todo], second[todo], turn)
            is_alike = turned >= self._turned_limit
            place = i[todo[is_alike]], j[todo[is_alike]]
            likeness[place] = np.maximum(likeness[place], turned[is_alike])
        return likeness if likeness.any() else None

    def _middle(self, part: slice) -> tuple[Floats, float]:
        """Return the mean of the images of a block, and the largest distance of an image from it."""
        if part.start not in self._middles:
            apart = self._apart(part)
            mean = apart.mean(0)
            radius = np.linalg.norm(apart - mean, axis=1).max() if self.has_detail[part].all() else np.inf
            self._middles[part.start] = mean, float(radius)
        return self._middles[part.start]

    def _maybe(self, first: Floats, second: Floats, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Return which pairs may be alike, by the bound on the product of two spectra without signs."""
        products = first @ second.T + _ROUNDING
        maybe: NDArray[np.bool_] = np.zeros(products.shape, bool)
        for own, limit in ((self._own, self._limit), (self._turned_own, self._turned_limit)):
            maybe |= products >= 1 - _square_of_reach(own[rows, None], own[None, columns], limit) / 2
        return maybe & self.has_detail[rows, None] & self.has_detail[None, columns]

    def _may_be_turned(
        self, first: NDArray[np.intp], second: NDArray[np.intp], values: Floats, number: int
    ) -> NDArray[np.bool_]:
        """Return which pairs, whose correlations are known, may be alike if the second image is turned.

        They are not if the images are near each other and the second one is far from its own turned form.
        """
        square = _square_of_reach(self._own[first], self._own[second], values)  # of the distance between both images
        reach = _square_of_reach(self._turned_own[first], self._turned_own[second], self._turned_limit)
        may_be: NDArray[np.bool_] = self._asymmetry[number][second] <= np.sqrt(square) + np.sqrt(reach) + _ROUNDING
        return may_be

    def _correlations(
        self, first: NDArray[np.intp], second: NDArray[np.intp], turn: tuple[bool, bool, bool] | None = None
    ) -> Floats:
        """Return the correlations of pairs of images, the second one turned or as it is."""
        values = np.empty(len(first), np.float32)
        for start in range(0, len(first), _ROWS):
            part = slice(start, start + _ROWS)
            a, b = self._apart(first[part], turn is not None), self._apart(second[part], turn is not None)
            values[part] = np.einsum("ij,ij->i", a, b if turn is None else _turned(b, turn))
        return values

    def _apart(self, part: slice | NDArray[np.intp], turned: bool = False) -> Floats:
        """Return spectra without the mean, of length 1."""
        mean, own = (self._turned_mean, self._turned_own) if turned else (self._mean, self._own)
        apart = (self._spectra[part] - mean) / np.maximum(own[part, None], _ROUNDING)
        return apart.astype(np.float32, copy=False)

    def _choose_frequencies(self, sample: slice) -> NDArray[np.intp]:
        """Choose the frequencies that vary most, and as many of them as make the search among a sample cheapest."""
        unsigned = _unsigned(self._spectra[sample])
        order = np.argsort(-unsigned.var(0), kind="stable")
        costs = {}
        for count in _FREQUENCIES:
            short = _shortened(unsigned, order[:count])
            costs[count] = count + _COST * 1e6 * float(self._maybe(short, short, sample, sample).mean())
        return order[: min(costs, key=lambda count: costs[count])]


def _by_parts(function: Callable[[NDArray], Floats], rows: NDArray) -> Floats:
    """Apply a function to a part of the rows at a time, which bounds the memory of what it computes in between."""
    return np.concatenate([function(rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS)])


def _details(thumbnails: NDArray[np.uint8]) -> Floats:
    """Return (N, 1024) spectra of thumbnails without coarse structures, of length 1, or 0 if there are no details."""
    waves = idct(np.eye(THUMBNAIL), axis=0, norm="ortho")
    coarse = (waves * gaussian_filter1d(waves, _COARSE, axis=0)).sum(0)  # share of every wave that the filter passes
    spectra = dctn(thumbnails.astype(np.float32), axes=(1, 2), norm="ortho") * (1 - np.outer(coarse, coarse))
    rows = spectra.reshape(len(spectra), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(lengths > _LEAST_DETAIL, rows / np.maximum(lengths, _LEAST_DETAIL), 0).astype(np.float32)


def _pictures(spectra: Floats) -> Floats:
    """Choose images of which no two look the same, so that copies and the frames of a video count once."""
    products = spectra @ spectra.T
    seen = np.zeros(len(spectra), bool)
    chosen = []
    for i in range(len(spectra)):
        if not seen[i]:
            chosen.append(i)
            seen |= products[i] >= _ALIKE_IN_ONE_PICTURE
    return spectra[chosen]


def _turned(spectra: Floats, turn: tuple[bool, bool, bool]) -> Floats:
    """Return the spectra of mirrored and transposed thumbnails."""
    up, left, swap = turn
    maps = spectra.reshape(-1, THUMBNAIL, THUMBNAIL)
    maps = maps.swapaxes(1, 2) if swap else maps
    signs = (-1.0) ** np.arange(THUMBNAIL, dtype=np.float32)
    factors = np.outer(signs if up else np.ones_like(signs), signs if left else np.ones_like(signs))
    return (maps * factors).reshape(len(spectra), -1)


def _asymmetry(spectra: Floats, turn: tuple[bool, bool, bool]) -> Floats:
    """Return the distances of thumbnails from their own mirrored or turned forms."""
    distances: Floats = np.linalg.norm(spectra - _turned(spectra, turn), axis=1)
    return distances


def _symmetric(spectrum: Floats) -> Floats:
    """Return the mean of a spectrum over all eight ways."""
    return (spectrum + sum(_turned(spectrum[None], turn)[0] for turn in _TURNS)) / 8


def _unsigned(spectra: Floats) -> Floats:
    """Return spectra without signs and sorted against their transposes, which are the same for all eight ways."""
    maps = np.abs(spectra).reshape(-1, THUMBNAIL, THUMBNAIL)
    other = maps.swapaxes(1, 2)
    is_upper = np.triu(np.ones((THUMBNAIL, THUMBNAIL), bool))
    return np.where(is_upper, np.maximum(maps, other), np.minimum(maps, other)).reshape(len(spectra), -1)


def _shortened(rows: Floats, frequencies: NDArray[np.intp]) -> Floats:
    """Return some coefficients of every row, and the length of all others."""
    few = rows[:, frequencies]
    rest = np.sqrt(np.maximum((rows**2).sum(1) - (few**2).sum(1), 0))
    return np.concatenate([few, rest[:, None]], axis=1)


def _square_of_reach(first: Floats, second: Floats, correlation: Floats | float) -> Floats:
    """Return the squared distance of two images with these distances from the mean, and with this correlation."""
    square: Floats = np.maximum(first**2 + second**2 - 2 * correlation * first * second, 0)
    return square
