# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.data import survey
from scripts.data.survey import Facts, survey_images
from scripts.image_io.formats.registry import FORMATS
from scripts.image_io.readers import ImageFileReader, MaskFileReader


def look(items: list[dict], cache: Path, num_classes: int = 2) -> list[Facts]:
    return survey_images(
        items, image_reader=ImageFileReader(), mask_reader=MaskFileReader(num_classes), cache_dir=cache / "surveys"
    )


@pytest.fixture
def pair(tmp_path) -> dict[str, str]:
    mask = np.zeros((40, 60), np.uint8)
    mask[2:4, 2:4] = 255  # 4 pixels
    mask[4, 4] = 255  # over a corner, of the same object
    mask[20:30, 20:30] = 255  # 100 pixels
    pixels = np.full((40, 60, 3), 10, np.uint8)
    pixels[:, 30:] = 210
    return {
        "image": str(images.save(tmp_path / "a.png", pixels)),
        "label": str(images.save(tmp_path / "a_mask.png", mask)),
    }


def test_what_is_seen_of_an_image_and_its_mask(pair, tmp_path):
    (facts,) = look([pair], tmp_path)
    assert facts.image == pair["image"] and facts.problem is None
    assert tuple(facts.size) == (40, 60)
    assert (facts.low, facts.high, facts.mean, facts.spread) == (10, 210, 110, 100)
    assert facts.pixels == [2400 - 105, 105]
    assert facts.objects == [[0, 0, 1, 0, 0, 0, 1]]  # of 4 to 7 pixels, and of 64 to 127
    assert facts.smeared == 0 and facts.widths == [7.5] and facts.content == ""
    thumbnail = np.frombuffer(base64.b64decode(facts.thumbnail), np.uint8).reshape(32, 32)
    assert (thumbnail[:, :16] == 10).all() and (thumbnail[:, 16:] == 210).all()


def test_equal_pixels_have_one_digest_whatever_the_file(pair, tmp_path):
    images.opened(pair["image"]).save(tmp_path / "b.bmp")
    changed = np.asarray(images.opened(pair["image"])).copy()
    changed[0, 0, 0] += 1
    images.save(tmp_path / "c.png", changed)
    items = [pair, *({**pair, "image": str(tmp_path / name)} for name in ("b.bmp", "c.png"))]
    first, second, third = (facts.digest for facts in look(items, tmp_path))
    assert first == second != third


def test_an_image_has_one_digest_in_any_color_space(pair, tmp_path):
    images.save(tmp_path / "a.png", np.random.RandomState(0).randint(0, 255, (40, 60, 3)).astype(np.uint8))
    readers = [ImageFileReader(color_space=color_space) for color_space in ("RGB", "YCrCb")]
    options = {"mask_reader": MaskFileReader(2), "cache_dir": tmp_path / "surveys"}
    ((first,), (second,)) = (survey_images([pair], image_reader=reader, **options) for reader in readers)
    assert first.digest == second.digest and first.mean != second.mean


def test_classes_and_parts(pair, tmp_path):
    ids = np.zeros((40, 60), np.uint8)
    ids[:2, :3], ids[5:7, 5:7] = 1, 3
    several = {**pair, "label": str(images.save(tmp_path / "ids.png", ids))}
    (facts,) = look([several], tmp_path, num_classes=4)
    assert facts.pixels == [2390, 6, 0, 4] and facts.objects == [[0, 0, 1], [], [0, 0, 1]]
    assert facts.widths == [1.5, None, 1.5]
    (facts,) = look([{**pair, "label": [pair["label"], pair["label"]]}], tmp_path)
    assert facts.pixels == [2295, 105]


def test_a_value_that_two_classes_have_no_place_for(pair, tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[2:30, 2:30], mask[32:36, 10:20] = 255, 100
    several = {**pair, "label": str(images.save(tmp_path / "three.png", mask))}
    (facts,) = look([several], tmp_path)
    assert "three.png holds ids of classes or objects" in facts.problem
    assert "(values found: 0, 100, 255)" in facts.problem
    mask_reader = MaskFileReader(2, instance_labels=True)
    (facts,) = survey_images(
        [several], image_reader=ImageFileReader(), mask_reader=mask_reader, cache_dir=tmp_path / "surveys"
    )
    assert facts.pixels == [2400 - 824, 824] and facts.smeared == 0
    mask[mask == 100], mask[mask == 255] = 1, 2
    several = {**pair, "label": str(images.save(tmp_path / "ids.png", mask))}
    (facts,) = look([several], tmp_path, num_classes=3)
    assert facts.smeared == 0


def test_bad_files_are_facts_too(pair, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    small = str(images.save(tmp_path / "small.png", images.marked()))
    items = [{**pair, "image": str(tmp_path / "broken.png")}, {**pair, "label": small}, pair]
    broken, other_size, good = look(items, tmp_path)
    cure = "remove it, or convert it to PNG"
    *others, last = (row.name for row in FORMATS)
    formats = f"{', '.join(others)} or {last}"
    assert broken.problem == f"{tmp_path / 'broken.png'} is not a {formats} image; {cure}"
    assert other_size.problem == (
        f"{small} is 24 x 16 pixels but {pair['image']} is 60 x 40; a mask must be as large as its image"
    )
    assert good.problem is None


def test_smeared_masks(pair, tmp_path):
    images.opened(pair["label"]).save(tmp_path / "smeared.jpg", quality=75)
    (facts,) = look([{**pair, "label": str(tmp_path / "smeared.jpg")}], tmp_path)
    assert 0.01 < facts.smeared < 1


def test_files_are_read_again_only_if_one_has_changed(pair, tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(survey, "_facts_of", lambda *those: looks.append(those[-1]) or Facts(those[-1]["image"]))
    for _ in range(2):
        look([pair], tmp_path)
    assert len(looks) == 1
    images.save(Path(pair["label"]), np.zeros((40, 60), np.uint8))
    look([pair], tmp_path)
    look([pair], tmp_path, num_classes=3)
    assert len(looks) == 3
    assert len(list((tmp_path / "surveys").iterdir())) == 3
    assert all(json.loads(path.read_text()) for path in (tmp_path / "surveys").iterdir())


def test_all_files_are_read_in_order_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "_AT_A_TIME", 2)
    monkeypatch.setattr(survey, "_facts_of", lambda *those: Facts(those[-1]["image"]))
    names = [str(images.save(tmp_path / f"{i}.png", np.zeros((4, 4), np.uint8))) for i in range(5)]
    assert [each.image for each in look([{"image": name, "label": name} for name in names], tmp_path)] == names


def test_a_file_that_has_gone(pair, tmp_path):
    with pytest.raises(InputError, match="none.png cannot be read .No such file or directory.; put it back"):
        look([{**pair, "label": str(tmp_path / "none.png")}], tmp_path)
