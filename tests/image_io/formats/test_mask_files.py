# SPDX-License-Identifier: Apache-2.0

"""Every kind of mask holds its label ids and its text, and is known by its name."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scripts.image_io.formats.mask_files import MASK_FORMATS, PNG_MASK, mask_format
from scripts.image_io.mask_marks import mark, read_mark, was_changed
from scripts.image_io.pages import read_pages


@pytest.fixture
def source(tmp_path) -> str:
    nib.save(nib.Nifti1Image(np.zeros((4, 3, 2), np.uint8), np.eye(4)), tmp_path / "source.nii.gz")
    return str(tmp_path / "source.nii.gz")


@pytest.mark.parametrize("kind", MASK_FORMATS, ids=lambda kind: kind.suffix)
def test_ids_and_text_are_kept(kind, source, tmp_path):
    ids = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) if kind.is_volume else np.uint8([[0, 1, 2], [3, 4, 5]])
    path = tmp_path / f"a.b{kind.suffix}"
    kind.write(ids, source, path, mark("abc", ids))
    assert mask_format(path) is kind
    np.testing.assert_array_equal(kind.content(path), ids)
    pages = [page.values for page in read_pages(str(path), 100)]
    np.testing.assert_array_equal(pages, ids if kind.is_volume else ids[None])
    assert kind.text(path).startswith("qtseg abc ") and read_mark(path) == "abc" and not was_changed(path)
    kind.write(ids[::-1].copy(), source, path, mark("abc", ids))
    assert was_changed(path)


def test_suffixes():
    assert [kind.suffix for kind in MASK_FORMATS] == [".png", ".tif", ".nii.gz"]
    assert mask_format("x/a.jpg.png") is PNG_MASK and mask_format(Path("a.geojson")) is PNG_MASK
