# SPDX-License-Identifier: Apache-2.0

"""Draw synthetic microscopy images with nuclei: fluorescence and stained tissue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.color import hed2rgb
from skimage.draw import bezier_curve, polygon
from skimage.util import img_as_ubyte

from ...common.errors import InputError

__all__ = ["DRAWING_VERSION", "MODALITIES", "Drawing", "draw"]

# Raise this number whenever `draw` returns different pixels: sets on disk with another number are then drawn again.
DRAWING_VERSION = 1
MODALITIES = ("fluorescence", "stained")

# Shapes: H x W image, P pixels of one body.
Map = NDArray[np.float64]


class Drawing(NamedTuple):
    """One synthetic image and its mask."""

    image: NDArray[np.uint8]  # (H, W) for fluorescence, (H, W, 3) RGB for stained
    mask: NDArray[np.bool_]  # (H, W), the union of all nuclei
    num_nuclei: int  # may exceed the number of components of the mask, because nuclei can touch


class _Body(NamedTuple):
    """The pixels of one roundish body, most often a nucleus."""

    rows: NDArray[np.intp]  # (P,)
    cols: NDArray[np.intp]  # (P,)
    eccentricity: Map  # (P,), relative squared distance from the center, about 1 at the rim


def draw(rng: Generator, modality: str) -> Drawing:
    """Draw one image of random size, with sides of 112 to 224 pixels and nuclei about 10 to 40 pixels wide.

    Args:
        rng: generator of all random numbers.
        modality: one of ``MODALITIES``.

    Returns:
        The image, its mask, and the number of nuclei.

    Raises:
        InputError: if ``modality`` is unknown.
    """
    if modality not in MODALITIES:
        raise InputError(f"modality is {modality!r}; use one of {', '.join(MODALITIES)}.")
    shape = (int(rng.integers(112, 225)), int(rng.integers(112, 225)))
    nuclei = _place_nuclei(rng, shape)
    mask = np.zeros(shape, dtype=bool)
    for nucleus in nuclei:
        mask[nucleus.rows, nucleus.cols] = True
    clean = (_fluorescence if modality == "fluorescence" else _stained)(rng, shape, nuclei)
    # Shot noise grows with the signal, read noise does not.
    sigma = np.sqrt(rng.uniform(0.008, 0.02) ** 2 + rng.uniform(0.0003, 0.0010) * np.clip(clean, 0, 1))
    image = img_as_ubyte(np.clip(clean + sigma * rng.standard_normal(clean.shape), 0, 1))
    return Drawing(image, mask, len(nuclei))


def _place_nuclei(rng: Generator, shape: tuple[int, int]) -> list[_Body]:
    """Place nuclei at random, about two thirds of them next to an earlier nucleus, with slight overlap at most."""
    typical = rng.uniform(9.0, 14.0)  # mean radius in pixels
    num_nuclei = max(6, int(rng.uniform(0.18, 0.36) * shape[0] * shape[1] / (np.pi * typical**2)))
    centers: list[tuple[float, float, float]] = []  # row, column, mean radius
    nuclei: list[_Body] = []
    for _ in range(20 * num_nuclei):
        if len(nuclei) == num_nuclei:
            break
        radius = typical * rng.uniform(0.75, 1.2)
        row, col = rng.uniform(2, shape[0] - 2), rng.uniform(2, shape[1] - 2)
        if centers and rng.random() < 0.65:
            near_row, near_col, near_radius = centers[rng.integers(len(centers))]
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.82, 1.05) * (radius + near_radius)
            row, col = near_row + distance * np.sin(angle), near_col + distance * np.cos(angle)
        inside = 2 <= row <= shape[0] - 2 and 2 <= col <= shape[1] - 2
        if inside and all(np.hypot(row - r, col - c) > 0.8 * (radius + near) for r, c, near in centers):
            centers.append((row, col, radius))
            nuclei.append(_body(rng, shape, row, col, radius))
    return nuclei


def _body(rng: Generator, shape: tuple[int, int], row: float, col: float, radius: float) -> _Body:
    stretch, tilt = np.sqrt(rng.uniform(1.0, 1.4)), rng.uniform(0, np.pi)
    theta = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outline = np.ones_like(theta)
    for harmonic in (2, 3, 4, 5):
        outline += rng.normal(0, 0.09 / harmonic) * np.cos(harmonic * theta + rng.uniform(0, 2 * np.pi))
    along, across = radius * stretch * outline * np.cos(theta), radius / stretch * outline * np.sin(theta)
    sin, cos = np.sin(tilt), np.cos(tilt)
    rows, cols = polygon(row + along * sin + across * cos, col + along * cos - across * sin, shape)
    down, right = rows - row, cols - col
    eccentricity = ((down * sin + right * cos) / stretch) ** 2 + ((down * cos - right * sin) * stretch) ** 2
    return _Body(rows, cols, eccentricity / radius**2)


def _texture(rng: Generator, shape: tuple[int, int], sigma: float) -> Map:
    """Draw smooth noise (H, W) with mean 0 and standard deviation 1; ``sigma`` of the smoothing is in pixels."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _fibers(rng: Generator, shape: tuple[int, int], count: int, half_width: float) -> Map:
    """Draw curved fibers that cross the image, (H, W) in [0, 1]."""
    layer = np.zeros(shape)
    for _ in range(count):
        # Points outside the image are moved to its border, so that most fibers end there.
        points = (np.clip(rng.uniform(-0.2, 1.2, 6), 0, 0.999) * (shape * 3)).astype(int)
        outside = np.ones(shape, dtype=bool)
        r0, c0, r1, c1, r2, c2 = points.tolist()
        outside[bezier_curve(r0, c0, r1, c1, r2, c2, rng.uniform(0.3, 1.5), shape)] = False
        reach = rng.uniform(0.6, 1.4) * half_width + 0.5
        fiber = np.clip(reach - distance_transform_edt(outside), 0, 1)
        layer = np.maximum(layer, rng.uniform(0.5, 1.0) * fiber)
    return layer


def _discs(rng: Generator, shape: tuple[int, int], count: int, radii: tuple[float, float], dent: float = 0.0) -> Map:
    """Draw roundish bodies, (H, W) in [0, 1]; ``dent`` is the share by which their middle is weaker than their rim."""
    layer = np.zeros(shape)
    for _ in range(count):
        row, col = rng.uniform(0, 1, 2) * shape
        disc = _body(rng, shape, row, col, rng.uniform(*radii))
        value = rng.uniform(0.6, 1.0) * (1 - dent * np.exp(-3 * disc.eccentricity))
        layer[disc.rows, disc.cols] = np.maximum(layer[disc.rows, disc.cols], value)
    return layer


def _illumination(rng: Generator, shape: tuple[int, int], darkest: float) -> Map:
    """Draw an off-center vignette (H, W), which falls from 1 to ``darkest``."""
    down, right = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    row, col = rng.uniform(-1, 1, 2)
    fall = (down - row) ** 2 + (right - col) ** 2
    return 1 - (1 - darkest) * fall / fall.max()


def _defocus(rng: Generator, picture: Map) -> Map:
    """Blur ``picture``, (H, W) or (H, W, 3), as if the slide were out of focus."""
    return np.asarray(gaussian_filter(picture, rng.uniform(0.5, 1.5), axes=(0, 1)))


def _fluorescence(rng: Generator, shape: tuple[int, int], nuclei: list[_Body]) -> Map:
    signal = np.zeros(shape)
    chromatin = 1 + 0.10 * _texture(rng, shape, 1.5) + 0.06 * _texture(rng, shape, 4)
    for nucleus in nuclei:
        at = nucleus.rows, nucleus.cols
        glow = rng.uniform(0.55, 1.0) * (1 - 0.3 * np.clip(nucleus.eccentricity, 0, 1)) * chromatin[at]
        signal[at] = np.maximum(signal[at], glow)
    haze = 0.25 * gaussian_filter(signal, 12) + 0.02 * np.abs(_texture(rng, shape, 6))
    debris = 1.3 * _discs(rng, shape, int(rng.integers(4, 14)), (1.0, 2.2))
    fibers = rng.uniform(0.9, 1.3) * _fibers(rng, shape, int(rng.integers(4, 9)), 1.0)
    scene = _defocus(rng, np.maximum.reduce([signal + haze, debris, fibers]))
    # Stray light makes the background on one side brighter than dim nuclei on the other side.
    stray = rng.uniform(0.2, 0.35) * _illumination(rng, shape, 0.0) ** 2
    return 0.04 + stray + rng.uniform(0.5, 0.7) * _illumination(rng, shape, rng.uniform(0.3, 0.5)) * scene


def _stained(rng: Generator, shape: tuple[int, int], nuclei: list[_Body]) -> Map:
    hematoxylin = 0.008 + 0.003 * _texture(rng, shape, 8)
    chromatin = 1 + 0.22 * _texture(rng, shape, 1.2) + 0.12 * _texture(rng, shape, 3)
    for nucleus in nuclei:
        at = nucleus.rows, nucleus.cols
        # Chromatin gathers at the nuclear membrane.
        rim = 0.8 + 0.35 * np.clip(nucleus.eccentricity, 0, 1) ** 3
        hematoxylin[at] = np.maximum(hematoxylin[at], rng.uniform(0.055, 0.09) * rim * chromatin[at])
    eosin = 0.018 + 0.004 * _texture(rng, shape, 2) + 0.006 * _texture(rng, shape, 10)
    eosin += 0.03 * _fibers(rng, shape, int(rng.integers(3, 9)), 1.5)
    cells = _discs(rng, shape, int(rng.integers(5, 16)), (4.0, 5.5), dent=0.5)
    pigment = 0.12 * _discs(rng, shape, int(rng.integers(3, 12)), (1.2, 3.0))
    # Some brown stain added to eosin turns its magenta into the pink of tissue and the red of blood cells.
    stains = np.stack([hematoxylin, eosin + 0.06 * cells, pigment + 0.35 * eosin + 0.06 * cells], axis=-1)
    rgb = hed2rgb(np.clip(stains, 0, None))
    light = _illumination(rng, shape, rng.uniform(0.5, 0.7))[..., None] * rng.uniform(0.95, 1.0, 3)
    return 0.97 * light * _defocus(rng, rgb)
