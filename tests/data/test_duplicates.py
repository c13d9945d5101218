# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage

import images
from scripts.data import duplicates, likeness
from scripts.data.duplicates import NearDuplicates, clusters, near_duplicates
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
        mask = folder / f"mask_{size[0]}_{size[1]}.png"
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
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "a quarter turn": lambda photo: photo.transpose(Image.Transpose.ROTATE_90),
    "a half turn": lambda photo: photo.transpose(Image.Transpose.ROTATE_180),
    "three quarters": lambda photo: photo.transpose(Image.Transpose.ROTATE_270),
    "transposed": lambda photo: photo.transpose(Image.Transpose.TRANSPOSE),
    "transversed": lambda photo: photo.transpose(Image.Transpose.TRANSVERSE),
    "padded": lambda photo: ImageOps.expand(photo, (40, 10, 0, 20), (0, 0, 0)),
    "padded in white": lambda photo: ImageOps.expand(photo.crop((30, 30, 120, 120)), (0, 35), (255, 255, 255)),
    "mirrored, larger and padded": lambda photo: ImageOps.pad(ImageOps.mirror(photo), (300, 260)),
    "without its frame": lambda photo: photo.crop((5, 5, 146, 146)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(change, tmp_path):
    paths = []
    for number, photo in enumerate(photos()):
        paths.append(tmp_path / f"{number}.png")
        photo.save(paths[-1])
    copied = 17
    if change == "padded in white":  # a picture without a frame of its own
        photos()[copied].crop((30, 30, 120, 120)).save(paths[copied])
    paths.append(tmp_path / "copy.jpg")
    CHANGES[change](photos()[copied]).save(paths[-1], quality=75 if "padded" in change else 40)
    pairs = near_duplicates(facts_of(paths, tmp_path))
    assert [pair[:2] for pair in pairs] == [(copied, 40)]


def test_equal_pixels_are_most_alike(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "b.bmp")]
    for path, photo in zip(paths, [photos()[0], photos()[3], photos()[3]]):
        photo.save(path)
    assert near_duplicates(facts_of(paths, tmp_path)) == [(1, 2, 1.0)]


def text(values: np.ndarray) -> str:
    return base64.b64encode(values.clip(0, 255).astype(np.uint8).tobytes()).decode()


def thumbnail(values: np.ndarray, content: np.ndarray | None = None) -> Facts:
    return Facts("a.png", thumbnail=text(values), content="" if content is None else text(content))


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


def in_frame(count: int, strength: float) -> list[np.ndarray]:
    """Thumbnails of different pictures, which are weak beside the bright round frame that all of them share."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32] - 15.5
    frame = np.hypot(rows, columns) < 14
    layers = [ndimage.gaussian_filter(random.normal(size=(32, 32)), 1.2) for _ in range(count)]
    return [np.where(frame, 150 + strength * layer / layer.std(), 0) for layer in layers]


def plain_likeness(thumbnails: list[np.ndarray], mean_of: Sequence[int], turned: bool = False) -> np.ndarray:
    """Correlations of all pairs, computed one by one, the best of all ways: an image as it is, or in seven others."""
    details = []
    for values in thumbnails:
        values = values.clip(0, 255).astype(np.uint8).astype(float)
        detail = values - ndimage.gaussian_filter(values, 3)
        details.append(detail / np.linalg.norm(detail))
    mean = np.mean([details[i] for i in mean_of], axis=0) if mean_of else np.zeros((32, 32))
    ways: list[Any] = [np.array, *(partial(np.rot90, k=k) for k in (1, 2, 3)), np.transpose, np.flipud, np.fliplr]
    ways.append(lambda image: np.rot90(image, 2).T)
    if turned:
        mean = np.mean([way(mean) for way in ways], axis=0)
    apart = [(detail - mean) / np.linalg.norm(detail - mean) for detail in details]
    of_way = [[[(a * way(b)).sum() for b in apart] for a in apart] for way in (ways[1:] if turned else ways[:1])]
    return np.triu(np.max(of_way, axis=0), k=1)


def test_pictures_that_only_share_a_frame_are_no_copies():
    pictures = in_frame(40, strength=10)
    assert (plain_likeness(pictures, mean_of=()) >= 0.98).sum() == 57  # as they are, they look the same
    assert near_duplicates([thumbnail(values) for values in pictures]) == []
    (pair,) = near_duplicates([thumbnail(values) for values in [*pictures, pictures[7] * 0.8 + 20]])
    assert pair[:2] == (7, 40)


@pytest.mark.parametrize("few, block", [(10**9, 1024), (-1, 1024), (5, 16)])
def test_the_pairs_are_those_of_comparing_all_in_full(few, block, monkeypatch):
    """Drawn pictures and damaged copies of them, some hardly alike any more; compared one by one, or as matrices."""
    monkeypatch.setattr(likeness, "_FEW", few)
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    random = np.random.default_rng(1)
    pictures = in_frame(40, strength=60)
    for i in range(40):
        copy = np.rot90(pictures[i], i % 4)[:: 1 if i % 3 else -1]
        pictures.append(copy + random.normal(size=(32, 32)) * (1 + i))
    same = plain_likeness(pictures, range(80)) >= 0.9
    turned = plain_likeness(pictures, range(80), turned=True) >= 0.93
    pairs = near_duplicates([thumbnail(values) for values in pictures])
    assert sorted(pair[:2] for pair in pairs) == [tuple(pair) for pair in np.argwhere(same | turned).tolist()]
    assert len(pairs) == pairs.total == 17 and same.sum() == 3 and (turned & ~same).sum() == 14


def test_of_very_many_pairs_those_are_kept_that_connect_the_same_images(monkeypatch):
    """Three still videos whose frames come in turn, four frames of another picture, and two pictures."""
    random = np.random.default_rng(0)
    bases = random.integers(0, 200, (6, 32, 32))
    shown = [0, 1, 2] * 60 + [3, 4, 3, 5, 3, 3]
    facts = [thumbnail(bases[picture] + random.integers(0, 3, (32, 32))) for picture in shown]
    every = near_duplicates(facts)
    assert len(every) == every.total == 3 * 60 * 59 // 2 + 4 * 3 // 2
    monkeypatch.setattr(duplicates, "_KEPT", 100)
    monkeypatch.setattr(duplicates, "_BLOCK", 16)
    kept = near_duplicates(facts)
    assert kept.total == every.total and 100 < len(kept) < 400 and set(kept) <= set(every)
    assert clusters(186, kept).tolist() == clusters(186, every).tolist() == [0, 1, 2] * 60 + [3, 4, 3, 5, 3, 3]


@pytest.mark.parametrize("count", [2, 100])
def test_frames_of_one_still_video_are_alike_although_there_is_nothing_to_tell_them_apart_from(count, monkeypatch):
    random = np.random.default_rng(0)
    base = random.integers(0, 200, (32, 32))
    facts = [thumbnail(base + random.integers(0, 3, (32, 32))) for _ in range(count)]
    monkeypatch.setattr(duplicates, "_KEPT", 50)
    monkeypatch.setattr(duplicates, "_BLOCK", 8)
    pairs = near_duplicates(facts)
    assert pairs.total == count * (count - 1) // 2 and len(pairs) <= 150 and max(clusters(count, pairs)) == 0
    assert all(pair[2] >= 0.98 for pair in pairs)


def test_the_content_counts_only_for_images_with_a_border():
    random = np.random.default_rng(0)
    many = [random.integers(0, 256, (32, 32)) for _ in range(20)]
    bordered = [thumbnail(random.integers(0, 256, (32, 32)), content=many[position]) for position in (3, 3, 5)]
    pairs = near_duplicates([*map(thumbnail, many), *bordered])
    assert sorted(pair[:2] for pair in pairs) == [(3, 20), (3, 21), (5, 22), (20, 21)]


def test_pairs_are_sorted_and_counted():
    pairs = NearDuplicates([(0, 1, 0.97), (2, 3, 1.0)])
    assert pairs == [(2, 3, 1.0), (0, 1, 0.97)] and pairs.total == 2
    assert NearDuplicates([(0, 1, 1.0)], total=9).total == 9 and NearDuplicates().total == 0
