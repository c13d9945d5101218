# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from scripts.data import likeness
from scripts.data.likeness import Likeness

WAYS = {
    (False, True, False): np.fliplr,
    (True, False, False): np.flipud,
    (True, True, False): lambda image: np.rot90(image, 2),
    (False, False, True): np.transpose,
    (False, True, True): lambda image: np.fliplr(image.T),
    (True, False, True): lambda image: np.flipud(image.T),
    (True, True, True): lambda image: np.rot90(image, 2).T,
}


def drawn(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    layers = np.stack([ndimage.gaussian_filter(random.normal(size=(32, 32)), 1.5) for _ in range(count)])
    return (128 + 200 * layers).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("turn", WAYS)
def test_a_turned_image_has_the_turned_spectrum(turn):
    assert set(likeness._TURNS) == set(WAYS)
    image = drawn(1)
    of_turned = likeness._details(np.stack([WAYS[turn](image[0])]))
    assert np.allclose(likeness._turned(likeness._details(image), turn), of_turned, atol=1e-6)


def test_details_are_those_of_the_filtered_image():
    (image,) = drawn(1)
    details = image - ndimage.gaussian_filter(image.astype(float), 3)
    spectrum = likeness._details(image[None])
    other = likeness._details(drawn(2)[1:])
    of_other = drawn(2)[1] - ndimage.gaussian_filter(drawn(2)[1].astype(float), 3)
    expected = (details * of_other).sum() / np.linalg.norm(details) / np.linalg.norm(of_other)
    assert float((spectrum * spectrum).sum()) == pytest.approx(1, abs=1e-6)
    assert float((spectrum * other).sum()) == pytest.approx(expected, abs=1e-6)


def test_the_bound_is_the_same_for_all_ways_and_never_too_tight():
    spectra = likeness._details(drawn(60))
    unsigned = likeness._unsigned(spectra)
    for turn in WAYS:
        assert np.allclose(likeness._unsigned(likeness._turned(spectra, turn)), unsigned, atol=1e-6)
        for count in (5, 64, 1024):
            short = likeness._shortened(unsigned, np.arange(count))
            assert (short @ short.T >= spectra @ likeness._turned(spectra, turn).T - 1e-5).all()


def test_alike_images_of_two_blocks():
    many = drawn(12)
    many[9], many[10] = many[2], np.fliplr(many[3])
    found = Likeness(many)
    assert found.alike(slice(0, 6), slice(6, 9)) is None
    values = found.alike(slice(0, 6), slice(6, 12))
    assert values.shape == (6, 6) and np.argwhere(values > 0).tolist() == [[2, 3], [3, 4]]
    assert values[2, 3] == pytest.approx(1, abs=1e-5) and values[3, 4] == pytest.approx(1, abs=1e-5)
    assert found.has_detail.all() and not Likeness(np.zeros((2, 32, 32), np.uint8)).has_detail.any()


def test_contents_must_be_more_alike_than_whole_images():
    noise = np.random.default_rng(0).normal(size=(32, 32))

    def largest_noise(are_contents: bool) -> int:
        for strength in range(100):
            copy = (drawn(1) + strength * noise).clip(0, 255).astype(np.uint8)
            compared = Likeness(np.concatenate([drawn(40), copy]), are_contents=are_contents)
            if compared.alike(slice(0, 1), slice(40, 41)) is None:
                return strength - 1
        raise AssertionError("noise does not matter")

    assert largest_noise(False) > largest_noise(True) > 1


def test_blocks_whose_images_are_all_alike():
    random = np.random.default_rng(0)
    still = drawn(1)[0] + random.integers(0, 3, (20, 32, 32))
    frames = Likeness(np.concatenate([still, drawn(4)]).astype(np.uint8))
    assert frames.all_alike(slice(0, 10), slice(10, 20)) and frames.all_alike(slice(0, 10), slice(0, 10))
    assert (frames.alike(slice(0, 10), slice(10, 20)) > 0).all()
    assert not frames.all_alike(slice(0, 10), slice(18, 24))
