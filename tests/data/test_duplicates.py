# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import images
from scripts.data.duplicates import clusters, near_duplicates
from scripts.data.survey import Facts, survey_images
from scripts.image_io.readers import ImageFileReader, MaskFileReader


def photos() -> list[Image.Image]:
    """Forty pictures with coarse and fine structure, in the same bright round frame as those of a fundus camera."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:150, :150] - 75
    frame = np.hypot(rows, columns) < 70
    pictures = []
    for _ in range(40):
        layers = [ndimage.gaussian_filter(random.normal(size=(150, 150)), sigma) for sigma in (2, 5, 12)]
        structure = sum(layer / layer.std() for layer in layers)
        gray = np.where(frame, 120 + 20 * structure, 0).clip(0, 255)
        pictures.append(Image.fromarray(np.stack([gray, 0.7 * gray, 0.4 * gray], axis=-1).astype(np.uint8)))
    return pictures


def facts_of(paths: list[Path], folder: Path) -> list[Facts]:
    mask = folder / "mask.png"
    items = []
    for path in paths:
        size = images.opened(path).size
        mask = folder / f"mask_{size[0]}.png"
        Image.new("L", size).save(mask)
        items.append({"image": str(path), "label": str(mask)})
    return survey_images(
        items, image_reader=ImageFileReader(), mask_reader=MaskFileReader(2), cache_dir=folder / "surveys"
    )


CHANGES = {
    "jpeg": lambda photo: photo,
    "half": lambda photo: photo.resize((75, 75), Image.Resampling.LANCZOS),
    "larger": lambda photo: photo.resize((323, 323), Image.Resampling.BICUBIC),
    "brighter": lambda photo: photo.point(lambda value: min(255, int(value * 0.8) + 40)),
    "gray": lambda photo: photo.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(change, tmp_path):
    paths = []
    for number, photo in enumerate(photos()):
        paths.append(tmp_path / f"{number}.png")
        photo.save(paths[-1])
    copied = 17
    paths.append(tmp_path / "copy.jpg")
    CHANGES[change](photos()[copied]).save(paths[-1], quality=40)
    pairs = near_duplicates(facts_of(paths, tmp_path))
    assert [pair[:2] for pair in pairs] == [(copied, 40)]


def test_equal_pixels_are_most_alike(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "b.bmp")]
    for path, photo in zip(paths, [photos()[0], photos()[3], photos()[3]]):
        photo.save(path)
    assert near_duplicates(facts_of(paths, tmp_path)) == [(1, 2, 1.0)]


def thumbnail(values: np.ndarray) -> Facts:
    return Facts("a.png", thumbnail=base64.b64encode(values.astype(np.uint8).tobytes()).decode())


def test_constant_and_unreadable_images_have_no_duplicates():
    flat = thumbnail(np.full((32, 32), 7))
    unreadable = Facts("a.png", problem="unreadable")
    assert near_duplicates([flat, flat, unreadable, unreadable]) == []
    assert near_duplicates([]) == []


def test_all_pairs_are_compared_over_blocks():
    random = np.random.default_rng(0)
    many = [thumbnail(random.integers(0, 256, (32, 32))) for _ in range(1200)]
    many[1100] = many[3]
    many[700] = many[600]
    assert sorted(pair[:2] for pair in near_duplicates(many)) == [(3, 1100), (600, 700)]


def test_clusters_connect_through_others():
    assert clusters(6, [(0, 2, 1.0), (2, 5, 0.99)]).tolist() == [0, 1, 0, 2, 3, 0]
    assert clusters(2, []).tolist() == [0, 1]
