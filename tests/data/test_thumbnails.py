# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

from scripts.data.thumbnails import content_box, from_text, thumbnails_of


def pattern(height: int, width: int) -> np.ndarray:
    """A checkerboard of 40 and 200."""
    rows, columns = np.mgrid[:height, :width] // 4
    return np.where((rows + columns) % 2, 200, 40).astype(np.uint8)


def padded(gray: np.ndarray, color: int, widths: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    return np.pad(gray, widths, constant_values=color)


@pytest.mark.parametrize("color", [0, 255, 128])
@pytest.mark.parametrize("widths", [((3, 0), (0, 0)), ((0, 9), (20, 11)), ((30, 30), (0, 0)), ((0, 0), (0, 0))])
def test_the_content_has_no_uniform_border(color, widths):
    rows, columns = content_box(padded(pattern(64, 64), color, widths))
    assert (rows, columns) == tuple(slice(start, start + 64) for start, _ in widths)


def test_a_frame_within_padding_is_no_content_either():
    framed = padded(padded(pattern(64, 64), 0, ((5, 5), (5, 5))), 255, ((0, 9), (12, 12)))
    assert content_box(framed) == (slice(5, 69), slice(17, 81))


def test_small_differences_in_a_border_do_not_matter():
    noisy = padded(pattern(64, 64), 10, ((8, 8), (0, 0))).astype(int)
    noisy[:8] += np.random.default_rng(0).integers(0, 20, (8, 64))
    assert content_box(noisy.clip(0, 255).astype(np.uint8)) == (slice(8, 72), slice(0, 64))


def test_lines_of_other_colors_are_content():
    stripes = np.repeat(np.array([0, 100, 200, 0, 200, 0, 100, 200], np.uint8), 16)[:, None].repeat(64, axis=1)
    assert content_box(stripes) == (slice(32, 96), slice(0, 64))


@pytest.mark.parametrize("gray", [
    np.full((40, 60), 7, np.uint8),  # constant
    padded(pattern(40, 40), 0, ((50, 0), (0, 0))),  # less than half of the height
    padded(np.full((1, 1), 255, np.uint8), 0, ((9, 9), (9, 9))),
])
def test_an_image_of_little_content_is_taken_whole(gray):
    assert content_box(gray) == (slice(0, gray.shape[0]), slice(0, gray.shape[1]))


def test_thumbnails_are_of_the_whole_image_and_of_its_content():
    gray = np.zeros((64, 64), np.uint8)
    gray[:, :32], gray[:, 32:] = 10, 210
    image = gray[..., None].repeat(3, axis=-1)
    whole, content = thumbnails_of(image, image)
    assert (from_text(whole) == gray[::2, ::2]).all() and content == ""
    image = pattern(64, 128)[..., None].repeat(3, axis=-1)
    image[:, :64] = 0
    whole, content = thumbnails_of(image, image)
    assert from_text(whole).shape == from_text(content).shape == (32, 32)
    assert set(from_text(content).ravel()) == {40, 200} and (from_text(whole)[:, :16] == 0).all()


def test_the_content_is_that_of_the_plain_image():
    plain = padded(pattern(64, 64), 0, ((16, 0), (0, 0)))[..., None].repeat(3, axis=-1)
    converted = 255 - plain
    converted[:16] = np.random.default_rng(0).integers(0, 255, (16, 64, 3))
    assert from_text(thumbnails_of(converted, plain)[1]).tolist() == (255 - pattern(64, 64)[::2, ::2]).tolist()
    assert from_text(thumbnails_of(plain[..., :1], plain[..., :1])[1]).tolist() == pattern(64, 64)[::2, ::2].tolist()
