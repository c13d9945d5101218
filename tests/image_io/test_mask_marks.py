# SPDX-License-Identifier: Apache-2.0

"""A mask says what it was made of, and whether it is still as it was made."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scripts.image_io.formats.mask_files import MASK_FORMATS, OUTLINES, mask_format
from scripts.image_io.mask_marks import made_of, mark, read_mark, was_changed
from scripts.image_io.pictures import save_palette

IDS = np.uint8([[0, 1, 2], [2, 1, 0]])


@pytest.fixture
def source(tmp_path) -> Path:
    (tmp_path / "image.png").write_bytes(b"pixels")
    os.utime(tmp_path / "image.png", ns=(10**18, 10**18))
    return tmp_path / "image.png"


def test_a_mask_is_made_of_a_file_and_of_settings(source, tmp_path, monkeypatch):
    settings = {"model": "1", "threshold": 0.5}
    made = made_of(source, settings)
    assert len(made) == 16 and int(made, 16) >= 0
    os.utime(source, ns=(10**18 + 10**9, 10**18))  # looked at since
    assert made_of(str(source), dict(reversed(settings.items()))) == made
    monkeypatch.chdir(tmp_path)
    assert made_of("image.png", settings) == made
    others = [made_of(source, {**settings, "threshold": 0.6})]
    os.utime(source, ns=(10**18, 10**18 + 1))
    others.append(made_of(source, settings))
    source.write_bytes(b"pixels and more")
    os.utime(source, ns=(10**18, 10**18))
    others.append(made_of(source, settings))
    source.write_bytes(b"pixels")
    os.utime(source, ns=(10**18, 10**18))
    assert made_of(source, settings) == made
    source.rename(tmp_path / "other.png")
    others.append(made_of(tmp_path / "other.png", settings))
    assert len({made, *others}) == 5
    with pytest.raises(FileNotFoundError):
        made_of(source, settings)


def test_a_mark_depends_on_what_it_was_made_of_and_on_every_pixel():
    changed = IDS.copy()
    changed[-1, -1] = 1
    assert mark("abc", IDS).startswith("qtseg abc ") and mark("abc", IDS) == mark("abc", np.asfortranarray(IDS))
    assert len({mark("abc", IDS), mark("abd", IDS), mark("abc", changed), mark("abc", "text")}) == 4


@pytest.mark.parametrize("text", ["", "qtseg abc", "other abc 0123456789abcdef", "qtseg abc 0123456789abcdef more"])
def test_what_others_write_into_a_png_is_no_mark(text, tmp_path):
    words = PngInfo()
    words.add_text("qtseg", text)
    Image.fromarray(IDS).save(tmp_path / "a.png", pnginfo=words)
    assert read_mark(tmp_path / "a.png") is None and was_changed(tmp_path / "a.png")


def test_a_pixel_changed_by_hand_is_seen_and_a_file_saved_anew_is_not(tmp_path):
    path = tmp_path / "a.png"
    save_palette(IDS, path, mark("abc", IDS))
    with Image.open(path) as mask:
        words = PngInfo()
        words.add_text("qtseg", mask.info["qtseg"])
        mask.save(path, pnginfo=words, compress_level=0)
        assert read_mark(path) == "abc" and not was_changed(path)
        mask.putpixel((0, 0), 2)
        mask.save(path, pnginfo=words)
    assert read_mark(path) == "abc" and was_changed(path)


def test_pixels_that_are_cut_off_count_as_changed(tmp_path):
    ids = np.random.default_rng(0).integers(0, 3, (64, 64), dtype=np.uint8)
    save_palette(ids, tmp_path / "a.png", mark("abc", ids))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:-200])
    assert read_mark(tmp_path / "a.png") == "abc" and was_changed(tmp_path / "a.png")


def test_outlines_are_marked_by_their_text(tmp_path):
    path = tmp_path / f"a{OUTLINES.suffix}"
    outlines = {"type": "FeatureCollection", "features": [], "qtseg": None}
    path.write_text(json.dumps({**outlines, "qtseg": mark("abc", json.dumps(outlines))}, indent=1))
    assert read_mark(path) == "abc" and not was_changed(path)
    path.write_text(path.read_text().replace("[]", '["mine"]'))
    assert read_mark(path) == "abc" and was_changed(path)


@pytest.mark.parametrize("kind", MASK_FORMATS, ids=lambda kind: kind.suffix)
def test_a_damaged_mask_has_no_mark(kind, tmp_path):
    (tmp_path / f"a{kind.suffix}").write_bytes(b"text")
    assert read_mark(tmp_path / f"a{kind.suffix}") is None and was_changed(tmp_path / f"a{kind.suffix}")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.tif"])
def test_volumes_are_marked_too(name, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 3, 2), np.uint8), np.eye(4)), tmp_path / "source.nii.gz")
    ids = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    made = made_of(tmp_path / "source.nii.gz", {})
    mask_format(name).write(ids, str(tmp_path / "source.nii.gz"), tmp_path / name, mark(made, ids))
    assert read_mark(tmp_path / name) == made and not was_changed(tmp_path / name)
    mask_format(name).write(ids + 1, str(tmp_path / "source.nii.gz"), tmp_path / name, mark(made, ids))
    assert was_changed(tmp_path / name)
