# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.data import prepared
from scripts.data.prepared import Dataset, DividedData
from scripts.image_io.readers import ImageFileReader, MaskFileReader

DIVISION = {
    "split": None, "group": None, "stratify": False, "num_folds": 5, "remainder": "spread", "protocol": "held-out",
    "validation_share": 0.25, "seed": 0,
}  # fmt: skip


def about(folder: Path, cache: Path) -> dict[str, Any]:
    readers = {"image_reader": ImageFileReader(), "mask_reader": MaskFileReader(2)}
    return {"folder": str(folder), "layout": "folder", "cache_dir": str(cache / "surveys"), **readers}


def divided(folder: Path, cache: Path, **changes: Any) -> DividedData:
    choice = {"division": DIVISION, "group_duplicates": True, "fold": 0, **changes}
    return DividedData(**about(folder, cache), **choice)


def names(items: list[Any]) -> list[str]:
    return [Path(item["image"]).name for item in items]


@pytest.fixture
def with_copy(tmp_path) -> Path:
    """Eleven images, of which the first and the last are the same picture."""
    folder = images.write_blobs(tmp_path / "data", 10)
    first = min((folder / "images").iterdir())
    shutil.copy(first, first.with_stem("copy"))
    mask = folder / "masks" / f"{first.stem}.png"
    shutil.copy(mask, mask.with_stem("copy"))
    return folder


def test_a_dataset_knows_its_images_and_what_was_seen_of_them(blobs, tmp_path):
    data = Dataset(**about(blobs, tmp_path))
    assert len(data.datalist) == len(data.facts) == 11 and data.duplicates == []
    assert [facts.image for facts in data.facts] == [item["image"] for item in data.datalist]
    listed = Dataset(**about(blobs, tmp_path), listed=data.datalist[:2])
    assert listed.datalist == data.datalist[:2] and len(listed.facts) == 2


def test_the_parts_of_a_fold_are_all_images(blobs, tmp_path):
    data = divided(blobs, tmp_path, fold=1)
    assert len(data.split.folds) == 5 and (len(data.train), len(data.validate), len(data.test)) == (7, 2, 2)
    assert sorted(names(data.train + data.validate + data.test)) == sorted(names(data.datalist))
    assert names(data.test) != names(divided(blobs, tmp_path).test)
    assert all(set(item) == {"image", "label", "group"} for item in data.train) and data.leaks == []


def test_a_split_keeps_copies_together_if_it_is_asked_to(with_copy, tmp_path):
    together, apart = (divided(with_copy, tmp_path, group_duplicates=grouped) for grouped in (True, False))
    (pair,) = together.duplicates
    assert pair == (0, 10, 1.0) == apart.duplicates[0]
    assert together.split.groups[0] == together.split.groups[10] and apart.split.groups[0] != apart.split.groups[10]
    slices = divided(with_copy, tmp_path, division={**DIVISION, "split": "slices"})
    assert [leak["num_groups"] for leak in slices.leaks] == [1] * len(slices.leaks) and slices.leaks
    assert divided(with_copy, tmp_path, division={**DIVISION, "split": "slices"}, group_duplicates=False).leaks == []


def test_nothing_is_read_before_it_is_asked_for_and_nothing_twice(blobs, tmp_path, monkeypatch):
    looks: list[int] = []
    survey_images = prepared.survey_images
    monkeypatch.setattr(
        prepared, "survey_images", lambda *args, **options: looks.append(1) or survey_images(*args, **options)
    )
    nowhere = divided(tmp_path / "nowhere", tmp_path, fold=9)
    data = divided(blobs, tmp_path, fold=9)
    assert len(data.datalist) == 11 and looks == []
    assert data.facts and data.split and data.duplicates == [] and looks == [1]
    with pytest.raises(InputError, match="fold is 9, but the split has 5"):
        data.train
    with pytest.raises(InputError, match="nowhere"):
        nowhere.facts


def test_the_check_can_be_told_before_the_split_is_wrong(blobs, tmp_path):
    data = divided(blobs, tmp_path, division={**DIVISION, "split": "official"})
    assert len(data.facts) == 11
    with pytest.raises(InputError, match="official"):
        data.split


def test_constant_images_are_no_copies(tmp_path):
    for part in ("images", "masks"):
        for i in range(3):
            images.save(tmp_path / "data" / part / f"{i}.png", np.zeros((20, 30), np.uint8))
    assert Dataset(**about(tmp_path / "data", tmp_path)).duplicates == []


def test_a_dataset_knows_the_names_of_its_classes_and_turns_its_masks(tmp_path):
    folder = tmp_path / "data"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    mirrored = np.diag([-1.0, 1, 1, 1])
    mirrored[0, 3] = images.WIDTH - 1
    for name in "ab":
        nib.save(nib.Nifti1Image(images.marked().T[..., None], np.eye(4)), folder / f"imagesTr/{name}_0000.nii.gz")
        mask = nib.Nifti1Image(images.marked(value=1).T[::-1, :, None], mirrored)
        nib.save(mask, folder / f"labelsTr/{name}.nii.gz")
    labels = {"background": 0, "cell": 1}
    (folder / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz", "labels": labels}))
    data = Dataset(**{**about(folder, tmp_path), "layout": "decathlon"})
    assert data.class_names == ["background", "cell"]
    label = data.mask_reader.get_data([data.datalist[0]["label"]])[0]
    np.testing.assert_array_equal(label, images.marked(value=1))
    assert data.facts[0].problem is None and data.facts[0].pixels == [360, 24]
    assert Dataset(**about(folder, tmp_path)).class_names == []
