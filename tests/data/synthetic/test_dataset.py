# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

from scripts.common.errors import InputError
from scripts.data.synthetic.dataset import make_dataset, otsu_dice
from scripts.data.synthetic.drawing import MODALITIES


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("synthetic") / "set", num_images=20)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pairs(root: Path) -> list[tuple[Path, Path]]:
    return [(image, root / "masks" / image.name) for image in sorted((root / "images").iterdir())]


def test_masks_fit_their_images(dataset):
    for image_path, mask_path in pairs(dataset):
        image, mask = imread(image_path), imread(mask_path)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape[:2] == mask.shape
        assert set(np.unique(mask)) == {0, 255}
        assert image.ndim == (2 if "fluorescence" in image_path.name else 3)


def test_sizes_vary_and_every_fifth_has_both_modalities(dataset):
    names = [image.name for image, _ in pairs(dataset)]
    for fold in range(5):
        assert {name.split("_")[1] for name in names[4 * fold : 4 * fold + 4]} == {f"{m}.png" for m in MODALITIES}
    sizes = {imread(mask).shape for _, mask in pairs(dataset)}
    assert len(sizes) > 15 and any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)


def test_the_same_seed_draws_the_same_pixels_and_another_others(dataset, tmp_path):
    same, other = (make_dataset(tmp_path / str(seed), num_images=20, seed=seed) for seed in (0, 1))
    for first, second in zip(pairs(dataset), pairs(same)):
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert pairs(dataset)[0][0].read_bytes() != pairs(other)[0][0].read_bytes()


def test_brightness_alone_does_not_solve_it(dataset):
    for modality in MODALITIES:
        score = otsu_dice(pair for pair in pairs(dataset) if modality in pair[0].name)
        assert 0.5 < score < 0.85, modality


def test_otsu_takes_the_better_polarity(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[5:10, 5:15] = 255
    for name, image in (("bright", mask), ("dark", 255 - mask), ("mask", mask)):
        imsave(tmp_path / f"{name}.png", image, check_contrast=False)
    assert otsu_dice([(tmp_path / f"{name}.png", tmp_path / "mask.png") for name in ("bright", "dark")]) == 1.0
    with pytest.raises(InputError, match="pairs is empty"):
        otsu_dice([])


def test_a_complete_set_is_reused(tmp_path):
    root = make_dataset(tmp_path / "set", num_images=10)
    before = {path: path.stat().st_mtime_ns for path in files(root)}
    assert make_dataset(root, num_images=10) == root
    assert {path: path.stat().st_mtime_ns for path in files(root)} == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]  # no temporary folder is left


@pytest.mark.parametrize("damage", ["delete", "change", "version"])
def test_an_incomplete_set_is_made_anew(damage, tmp_path):
    root = make_dataset(tmp_path / "set", num_images=10)
    contents = {path.name: path.read_bytes() for path in files(root / "images")}
    victim = root / "images" / "00003_stained.png"
    manifest = root / "synthetic_manifest.json"
    if damage == "delete":
        victim.unlink()
    elif damage == "change":
        victim.write_bytes(b"something else")
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": -1}))
    make_dataset(root, num_images=10)
    assert {path.name: path.read_bytes() for path in files(root / "images")} == contents


def test_a_smaller_set_leaves_nothing_of_the_larger_one(tmp_path):
    make_dataset(tmp_path / "set", num_images=12)
    root = make_dataset(tmp_path / "set", num_images=10)
    assert len(files(root / "images")) == len(files(root / "masks")) == 10


@pytest.mark.parametrize("place", ["notes.txt", "images/mine.png"])
def test_files_of_other_origin_are_never_touched(place, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / place).write_text("mine")
    with pytest.raises(InputError, match=place):
        make_dataset(tmp_path, num_images=10)
    assert (tmp_path / place).read_text() == "mine"


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(InputError, match="set is a file"):
        make_dataset(tmp_path / "set", num_images=10)


def test_a_damaged_manifest_is_named(tmp_path):
    root = make_dataset(tmp_path / "set", num_images=10)
    (root / "synthetic_manifest.json").write_text("{")
    with pytest.raises(InputError, match="synthetic_manifest.json is damaged"):
        make_dataset(root, num_images=10)


@pytest.mark.parametrize("arguments", [{"num_images": 9}, {"seed": -1}])
def test_bad_arguments(arguments, tmp_path):
    with pytest.raises(InputError, match="use 10 or more images and a seed of 0 or more"):
        make_dataset(tmp_path / "set", **arguments)


def test_two_processes_may_make_it_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        roots = pool.map(make_small, [tmp_path / "set"] * 2)
    assert roots == [tmp_path / "set"] * 2
    assert len(files(tmp_path / "set" / "images")) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def make_small(root: Path) -> Path:
    return make_dataset(root, num_images=10)
