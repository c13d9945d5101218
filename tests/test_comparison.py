# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.common.errors import InputError
from scripts.comparison import compare, main


def evaluation(folder: Path, dice: dict[str, float], **more: float) -> Path:
    folder.mkdir()
    with open(folder / "scores.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "group", "dice", *more, "label_pixels"])
        for name, value in dice.items():
            writer.writerow([name, name[0], value, *more.values(), 7])
    return folder


@pytest.fixture
def two(tmp_path) -> tuple[Path, Path]:
    first = {f"{group}{i}.png": 0.5 + 0.01 * i for group in "abcdef" for i in range(3)}
    second = {name: value + (0.1 if name[0] in "abcde" else 0.0) for name, value in reversed(first.items())}
    one = evaluation(tmp_path / "first", {**first, "x.png": 0}, hd95=1)
    return one, evaluation(tmp_path / "second", second, iou=0.3)


def test_differences_are_paired_by_image_and_drawn_by_group(two):
    found = compare(*two)
    assert (found["num_images"], found["left_out"]) == (18, 1)
    assert list(found["scores"]) == ["dice"]
    dice = found["scores"]["dice"]
    assert dice["first"] == pytest.approx(0.51) and dice["difference"] == pytest.approx(0.1 * 5 / 6)
    assert dice["second"] - dice["first"] == pytest.approx(dice["difference"])
    assert 0 < dice["low"] < dice["difference"] < dice["high"] <= 0.1 + 1e-9
    assert compare(two[1], two[0])["scores"]["dice"]["difference"] == pytest.approx(-dice["difference"])


def test_the_command_prints_and_writes(two, tmp_path, capsys):
    main([str(two[0]), str(two[1] / "scores.csv"), "--json", str(tmp_path / "difference.json")])
    text = capsys.readouterr().out
    assert "dice" in text and "+0.0833" in text and "Means over 18 images that both have; 1 left out." in text
    assert json.loads((tmp_path / "difference.json").read_text()) == compare(*two)


def test_no_difference_is_said(tmp_path, capsys):
    same = evaluation(tmp_path / "same", {"a.png": 0.5, "b.png": 0.7})
    main([str(same), str(same)])
    assert "+0.0000 to +0.0000   (0 is in it)" in capsys.readouterr().out


def summary(folder: Path, **facts: Any) -> None:
    known = {"images": ".", "protocol": "held-out", "out_channels": 2, "pixel_size": 1.0, "tolerance": 2.0, **facts}
    (folder / "summary.json").write_text(json.dumps(known))


def test_evaluations_in_other_places_and_under_other_protocols_are_compared(tmp_path, capsys):
    folders = [
        evaluation(tmp_path / place, {f"/{place}/{name}.png": dice for name in "abc"})
        for place, dice in (("here", 0.5), ("there", 0.6))
    ]
    summary(folders[0], images="/here")
    summary(folders[1], images="/there", protocol="external")
    assert compare(*folders)["num_images"] == 3 and compare(*folders)["protocols"][1].startswith("external images")
    main([str(folder) for folder in folders])
    assert "The first: held-out protocol" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{"tolerance": 1.0}, {"pixel_size": 0.1}, {"out_channels": 3}])
def test_scores_of_another_meaning_are_not_compared(two, changes):
    summary(two[0])
    summary(two[1], **changes)
    with pytest.raises(InputError, match=f"was scored with {next(iter(changes))} .*; evaluate both alike"):
        compare(*two)
    for one in two:
        (one / "summary.json").write_text(json.dumps({"images": "."}))  # of version 0.1
    with pytest.raises(InputError, match="names no protocol, but None; evaluate again"):
        compare(*two)


def test_scores_of_images_that_were_fitted_otherwise_are_left_out(tmp_path, capsys):
    folders = [tmp_path / name for name in ("nearest", "shares")]
    for folder in folders:
        folder.mkdir()
        (folder / "scores.csv").write_text("image,group,dice,paper_dice\n./a.png,a,0.5,0.6\n./b.png,b,0.7,0.8\n")
        summary(folder, label_fit=folder.name)
    main([str(folder) for folder in folders])
    told = capsys.readouterr().out
    assert "paper_dice" not in told and "(paper_...) are left out, as spatial_size or label_fit differ." in told
    summary(folders[1], label_fit="nearest")
    assert set(compare(*folders)["scores"]) == {"dice", "paper_dice"}


def test_wrong_tables(two, tmp_path, capsys):
    with pytest.raises(InputError, match="none/scores.csv cannot be read|none cannot be read"):
        compare(two[0], tmp_path / "none")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="other.csv is no table of scores; name the scores.csv of an evaluation"):
        compare(two[0], tmp_path / "other.csv")
    with pytest.raises(InputError, match="have no image in common; evaluate both on the same images"):
        compare(two[0], evaluation(tmp_path / "third", {"z.png": 0.1}))
    (tmp_path / "bare.csv").write_text("image,group,mae,label_pixels\na0.png,a,1,7\n")
    with pytest.raises(InputError, match="have no score in common"):
        compare(two[0], tmp_path / "bare.csv")
    (tmp_path / "relabeled.csv").write_text("image,group,dice,label_pixels\na0.png,a,1,8\n")
    with pytest.raises(InputError, match=r"a0.png has another label in .*first than in .*\(1 such image\(s\)\)"):
        compare(two[0], tmp_path / "relabeled.csv")
    (tmp_path / "damaged.csv").write_text("image,group,dice,label_pixels\na0.png,a,abc,7\n")
    with pytest.raises(InputError, match="damaged.csv, line 2 has 'abc' as dice of a0.png, which is no number; eval"):
        compare(two[0], tmp_path / "damaged.csv")
    classes = [tmp_path / f"{name}.csv" for name in ("ordered", "exchanged")]
    for path, counts in zip(classes, ("1,6", "6,1")):
        path.write_text(f"image,group,dice,dice_1,label_pixels,label_pixels_1,label_pixels_2\na.png,a,1,1,7,{counts}\n")
    with pytest.raises(InputError, match="a.png has another label in .*ordered.csv than in .*exchanged.csv"):
        compare(*classes)
    with pytest.raises(SystemExit):
        main([str(two[0]), str(tmp_path / "none")])
    assert "cannot be read" in capsys.readouterr().err
