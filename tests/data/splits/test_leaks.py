# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from scripts.data.splits.leaks import find_leaks, leak_text
from scripts.data.splits.split import Fold, Split
from scripts.data.synthetic.dataset import make_dataset
from workflows import run


def split_of(folds: list[Fold], groups: str) -> Split:
    return Split(folds, list(groups), [f"images/{name}.png" for name in "abcde"])


def test_leaks_are_images_that_belong_together_in_two_parts_of_a_fold():
    folds = [Fold([0, 1], [2], [3]), Fold([2, 3], [1], [0]), Fold([0, 3], [1, 2], [1, 2])]
    pairs = [(0, 1, 0.99), (2, 3, 1.0), (0, 4, 1.0)]
    leaks = find_leaks(pairs, split_of(folds, "abcde"))
    assert [(leak["fold"], leak["num_groups"]) for leak in leaks] == [(0, 1), (1, 1), (2, 2)]
    assert leaks[0]["groups"] == [{"validate": "images/c.png", "test": "images/d.png"}]
    assert leaks[2]["groups"] == [
        {"train": "images/a.png", "test": "images/b.png"}, {"train": "images/d.png", "test": "images/c.png"}
    ]
    (leak,) = find_leaks([], split_of([Fold([0, 1], [2], [3]), Fold([0, 1], [4], [2, 3])], "ppqqr"))
    assert (leak["fold"], leak["groups"]) == (0, [{"validate": "images/c.png", "test": "images/d.png"}])


def test_a_planted_leak_is_found_and_grouped_folds_have_none(tmp_path):
    data = Path(make_dataset(tmp_path / "data"))
    before = sorted(path.relative_to(data) for path in data.rglob("*"))
    photo = sorted((data / "images").iterdir())[1]
    with Image.open(photo) as image:
        size = (image.width * 3 // 4, image.height * 3 // 4)
        image.convert("RGB").resize(size).save(data / "images" / "zz copy.jpg", quality=60)
    with Image.open(data / "masks" / f"{photo.stem}.png") as mask:
        mask.resize(size, Image.Resampling.NEAREST).save(data / "masks" / "zz copy.png")
    for split in ("slices", "grouped"):
        output_dir = tmp_path / split
        run("train", "check", dataset_dir=str(data), output_dir=str(output_dir), split=split)
        (report,) = (json.loads(path.read_text()) for path in output_dir.glob("check_*/data_check.json"))
        ((first, second, _),) = report["near_duplicates"]
        assert [Path(image).name for image in (first, second)] == [photo.name, "zz copy.jpg"]
        assert bool(report["leaks"]) is (split == "slices")
    assert len(list(data.rglob("*"))) == len(before) + 2  # nothing is written into a dataset


def test_a_leak_is_told_with_its_number_of_groups():
    (leak,) = find_leaks([], split_of([Fold([0, 2], [4], [1, 3])], "ppqqr"))
    assert leak["num_groups"] == 2
    assert leak_text(leak) == (
        "fold 0 parts 2 groups of images that belong together (near-duplicates, or one group by the knob); what is "
        "judged on them looks too good"
    )
