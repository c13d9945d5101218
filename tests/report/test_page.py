# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluations import CURVES, FALSE_ALARM, HEIGHT, MISSED, WIDTH, Page, evaluate
from scripts.common.errors import InputError
from scripts.image_io.pictures import PALETTE
from scripts.report.page import write_report

NASTY = [
    "<b>bold & 'single' \"double\" größe.png",
    "x</script><img src=none onerror=alert(1)>.png",  # the slash makes it a folder and a file
    "{{ 7 * 7 }}.png",
    "&lt;kept as it is&gt;.png",
    "fälle  äöü 画像.png",
]


def shown(path: Path, name: str, caption: str) -> np.ndarray:
    """The pixels of a picture on the page."""
    alt = f"{caption} of {name}"
    (source,) = [each["src"] for each in Page(path).attributes("img") if each["alt"] == alt]
    with Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/jpeg;base64,")))) as picture:
        return np.asarray(picture).astype(int)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nasty & <evaluation>")
    curves = folder / "curves.csv"
    curves.write_text(CURVES)
    return evaluate(folder, [*NASTY, *(f"case {i}.png" for i in range(10))], curves=curves)


@pytest.fixture
def page(evaluation) -> Page:
    return Page(evaluation / "report.html")


def test_scores_come_with_their_intervals_and_what_they_can_be_taken_for(evaluation, page):
    scores = json.loads((evaluation / "summary.json").read_text())["protocols"][0]["scores"]
    for name, digits in (("dice", 4), ("iou", 4), ("hd95", 2)):
        mean, low, high = (f"{scores[name][key]:.{digits}f}" for key in ("mean", "low", "high"))
        assert f"{mean} {low} to {high}" in page.text()
    assert "held-out protocol: the epoch was chosen on other images" in page.text()
    assert "No scored image was trained on" in page.text() and "not a clinical claim" in page.text()
    (title,) = [text for tag, text in page.texts if tag == "title"][:1]
    assert title.startswith("Evaluation on 15 images of nasty & <evaluation>") and "held-out" in title


def test_images_are_counted_by_found_and_missed(page):
    assert "Class 1 13 1 1 1" in page.text()  # images with it, missed, false alarms, rightly absent


def test_names_are_shown_as_they_are_and_never_read_as_html(page):
    captions = [each["alt"] for each in page.attributes("img")]
    assert {"Image of x</script><img src=none onerror=alert(1)>.png", f"Errors of {NASTY[0]}"} <= set(captions)
    assert len(captions) == 12 * 4
    assert {row[0] for row in page.table()["rows"]} >= set(NASTY)
    assert {tag for tag, _ in page.elements}.isdisjoint({"b", "iframe", "object", "base", "form"})
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]


def test_the_page_needs_nothing_else(page):
    for tag, attributes in page.elements:
        for key in {"src", "href", "srcset", "action", "data"} & set(attributes):
            assert attributes[key].startswith(("data:", "#")), (tag, attributes)
    (policy,) = [each["content"] for each in page.attributes("meta") if "http-equiv" in each]
    assert policy.startswith("default-src 'none'")
    style = next(text for tag, text in page.texts if tag == "style")
    assert "url(" not in style and "@import" not in style


def test_the_page_can_be_found_through(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = [a["href"][1:] for a in page.attributes("a")] + [label["for"] for label in page.attributes("label")]
    referred += [name for _, a in page.elements for name in (a.get("aria-labelledby") or "").split()]
    assert len(referred) > 15 and set(referred) <= set(ids)
    assert page.attributes("html")[0]["lang"] == "en"
    assert "width=device-width" in next(m["content"] for m in page.attributes("meta") if m.get("name") == "viewport")
    assert page.attributes("a")[0] == {"class": "skip", "href": "#content"}
    charts = [attributes for attributes in page.attributes("svg") if attributes["role"] == "img"]
    assert len(charts) == len([text for tag, text in page.texts if tag == "desc"]) == 4


def test_cases_are_the_worst_the_middle_and_the_best(evaluation, page):
    kinds = ("Worst", "Median", "Best")
    dice: dict[str, list[float]] = {kind: [] for kind in kinds}
    kind = ""
    for tag, text in page.texts:
        kind = text if tag == "h3" and text in kinds else kind
        if tag == "span" and text.startswith("Dice "):
            dice[kind].append(float(text.removeprefix("Dice ")))
    table = page.table()
    column = [each["label"] for each in table["columns"]].index("Dice")
    ranked = sorted(round(row[column], 4) for row in table["rows"])
    assert dice == {"Worst": ranked[:6], "Median": ranked[6:9], "Best": ranked[:-4:-1]}
    assert table["sorted"] == column and ranked[:2] == [0, 0] and ranked[-1] == 1


def test_pictures_show_what_is_right_missed_and_wrongly_found(evaluation):
    def area(rows: slice, columns: slice) -> tuple[slice, slice]:
        times = 320 // WIDTH  # small images are enlarged by whole numbers; the frame is outline
        return tuple(slice(times * side.start + 3, times * side.stop - 3) for side in (rows, columns))

    image, errors = (shown(evaluation / "report.html", NASTY[4], caption) for caption in ("Image", "Errors"))
    assert image.shape == errors.shape == (HEIGHT * 6, WIDTH * 6, 3)  # shifted by two: see evaluations.py
    for columns, place in ((slice(10, 24), 2), (slice(8, 10), 4), (slice(24, 26), 6)):
        inside = area(slice(8, 24), columns)
        mixed = 0.3 * image[inside].mean((0, 1)) + 0.7 * PALETTE[place].astype(float)
        assert np.abs(errors[inside].mean((0, 1)) - mixed).max() < 25, place
    outside = area(slice(26, 32), slice(30, 48))
    assert np.abs(errors[outside] - image[outside]).mean() < 2


@pytest.mark.parametrize("number, caption", [(MISSED, "Prediction"), (FALSE_ALARM, "Label")])
def test_an_empty_mask_is_drawn_as_nothing(evaluation, number, caption):
    path = evaluation / "report.html"
    image, empty = (shown(path, NASTY[number], each) for each in ("Image", caption))
    assert np.array_equal(image, empty)
    assert not np.array_equal(image, shown(path, NASTY[number], "Errors"))


def test_large_images_are_scaled_down(tmp_path):
    folder = evaluate(tmp_path, [f"{i}.png" for i in range(4)])
    for path in [tmp_path / "images" / "3.png", *(folder / "masks").glob("3_*"), *(folder / "labels").glob("3_*")]:
        with Image.open(path) as file:
            large = file.resize((WIDTH * 20, HEIGHT * 20), Image.Resampling.NEAREST)
        large.save(path)
    assert shown(write_report(folder), "3.png", "Prediction").shape == (213, 320, 3)


def test_an_image_that_has_gone_or_changed_is_named_and_its_masks_are_shown(tmp_path):
    folder = evaluate(tmp_path, ["gone.png", "changed.png", "b.png"])
    (tmp_path / "images" / "gone.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "changed.png")
    next((folder / "masks").glob("b_*")).unlink()
    page = Page(write_report(folder))
    assert f"The image is not shown: {tmp_path / 'images' / 'gone.png'} cannot be opened" in page.text()
    assert f"{tmp_path / 'images' / 'changed.png'} has another size than when it was scored" in page.text()
    assert re.search(r"No pictures: \S+/masks/b_[0-9a-f]{6}\.png is not there", page.text())
    assert shown(folder / "report.html", "gone.png", "Label").max() > 200
    assert len(page.attributes("img")) == 2 * 4


def test_images_of_relative_paths_are_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / evaluate(Path("data"), ["a.png"])
    monkeypatch.chdir("/")
    assert "The image is not shown" not in Page(write_report(folder)).text()


def test_one_group_has_no_interval_and_the_page_says_why(tmp_path):
    page = Page(evaluate(tmp_path, ["a.png", "b.png", "c.png", "d.png"], group="p1") / "report.html")
    assert "– no interval" in page.text() and "at least two groups" in page.text()
    assert not re.search(r"\bnan\b", page.text(), re.IGNORECASE)
    assert "95 % intervals by the bootstrap" not in page.text()


def test_several_classes_have_scores_counts_and_colors_of_their_own(tmp_path):
    page = Page(evaluate(tmp_path, [f"{i}.png" for i in range(6)], num_classes=3) / "report.html")
    assert "Class 1 4 1 1 1" in page.text() and "Class 2 3 0 0 3" in page.text()
    labels = [each["label"] for each in page.table()["columns"]]
    assert {"Dice", "Dice, class 1", "Dice, class 2", "Paper's Dice, class 2", "Label, pixels, class 1"} <= set(labels)
    styles = [each["style"] for each in page.attributes("span") if "style" in each]
    assert {"background: #e69f00", "background: #56b4e9"} <= set(styles)
    assert "another class" in page.text()
    assert "another class" not in Page(evaluate(tmp_path / "two", ["a.png"]) / "report.html").text()


def test_curves_are_drawn_through_what_was_measured(page):
    lines = [each["points"].split() for each in page.attributes("polyline") if each["class"] == "line"]
    assert {len(points) for points in lines[1:]} == {3, 2}  # three losses, two validations; the first is calibration
    assert "Training loss: 0.7500 in epoch 1, 0.2500 in epoch 3." in page.text()
    assert "Validation Dice: 0.6250 in epoch 2, 0.8750 in epoch 3." in page.text()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("scores.csv", None, "scores.csv cannot be read"),
        ("scores.csv", "image,group,dice\na.png,a,high\n", "scores.csv, line 2 has 'high' as dice of a.png, which"),
        ("scores.csv", "image,group,iou\na.png,a,0.5\n", "scores.csv has no column dice"),
        ("summary.json", None, "summary.json cannot be read"),
        ("summary.json", "{", "summary.json cannot be read"),
        ("summary.json", "[]", "summary.json is no JSON object"),
        ("curves.csv", "a,train_loss\n1,2\n", "curves.csv is no table of training curves"),
    ],
)
def test_files_that_cannot_be_used_are_named(name, text, message, tmp_path):
    folder = evaluate(tmp_path, ["a.png"])
    (folder / name).unlink(missing_ok=True)
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        write_report(folder, curves=folder / "curves.csv")
