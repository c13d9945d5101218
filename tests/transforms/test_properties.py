# SPDX-License-Identifier: Apache-2.0

"""What must hold for every name, size and label, and is tried on many."""

from __future__ import annotations

import os
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.formats.registry import image_suffixes
from scripts.image_io.mask_marks import mark
from scripts.image_io.pictures import save_palette
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.inference.inputs import images_to_segment
from scripts.inference.output_folder import still_to_do

few = settings(deadline=None, max_examples=60, derandomize=True, database=None)

# of any bytes that a file name can have: those that are no UTF-8 too
BYTES = st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name)
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=40)
PARTS = st.one_of(BYTES.map(os.fsdecode), TEXTS).filter(lambda name: name not in (".", ".."))
ENDS = st.sampled_from([*image_suffixes(), ".PNG", ".Jpg", ".jpg.png"])


@few
@given(st.sets(st.tuples(st.lists(PARTS, max_size=2), PARTS, ENDS).map(lambda drawn: (*drawn[0], drawn[1] + drawn[2])),
               min_size=1, max_size=6))
@example({("a.png", "b.jpg"), ("a.jpg",), ("A.gif",), ("a.png", "B.png")})
@example({("-rf.png",), ("\n.png",), ("~root.png",), ("%d#1.png",), (os.fsdecode(b"\xff.tif"),)})
def test_every_image_has_a_mask_of_its_own_in_its_place(names):
    content = BytesIO()
    Image.new("L", (4, 3)).save(content, "PNG")
    with tempfile.TemporaryDirectory() as temporary:
        root, out = Path(temporary) / "data", Path(temporary) / "out"
        written = set()
        for name in sorted(names):
            path = root.joinpath(*name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.getvalue())
            except OSError:  # of two names, one is a folder and the other a file
                continue
            if not any(part.startswith(".") for part in name):
                written.add(path)
        if not written:
            with pytest.raises(InputError, match="holds no image"):
                images_to_segment(root, output_dir=out)
            return
        items = images_to_segment(root, output_dir=out)
        assert {Path(item["image"]) for item in items} == written and len(items) == len(written)
        places = [out / item["mask"] for item in items]
        assert len({str(place).casefold() for place in places}) == len(places)
        todo = still_to_do(items, out, {}, outputs={}, out_channels=2)
        for item, place in zip(todo, places):
            image = Path(item["image"]).relative_to(root)
            assert place.relative_to(out).parent == image.parent and ".." not in place.relative_to(out).parts
            in_two_parts = [end for end in image_suffixes() if end.count(".") > 1 and image.name.lower().endswith(end)]
            stem = image.name[: -len(in_two_parts[0])] if in_two_parts else image.stem
            assert place.name.startswith(stem)
            place.parent.mkdir(parents=True, exist_ok=True)
            save_palette(np.zeros((3, 4), np.uint8), place, mark(item["made"], np.zeros((3, 4), np.uint8)))
        assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(places)
        pictures = [item for item, place in zip(items, places) if place.name.endswith(".png")]
        assert still_to_do(pictures, out, {}, outputs={}, out_channels=2) == []


@few
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 8), st.sampled_from(["png", "jpg", "tif", "bmp", "gif"]))
@example(1, 1, 6, "png")
@example(1, 70, 5, "tif")
@example(70, 1, 8, "jpg")
def test_an_image_of_any_size_keeps_its_size_and_its_corner(height, width, orientation, suffix):
    pixels = np.zeros((height, width), np.uint8)
    pixels[0, 0] = 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        with_exif = suffix in ("png", "jpg", "tif")
        options = {"exif": images.exif(orientation)} if with_exif else {}
        options |= {"quality": 100} if suffix == "jpg" else {}
        stored = images.stored_as(pixels, orientation) if with_exif else pixels
        images.save(path, stored, **options)
        image, _ = ImageFileReader().get_data([str(path)])
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        assert np.unravel_index(image[..., 0].argmax(), (height, width)) == (0, 0)
        ids, _ = MaskFileReader(2).get_data([str(path)])
        np.testing.assert_array_equal(ids, pixels > 0)
        save_palette(ids, path.with_suffix(".mask.png"))
        again, _ = MaskFileReader(2).get_data([str(path.with_suffix(".mask.png"))])
        np.testing.assert_array_equal(again, ids)


SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)


@few
@given(st.integers(3, 256), st.data())
def test_ids_inside_come_back_and_no_others(num_classes, data):
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int16", "int32", "uint32", "float32", "float64"]))
    largest = 255 if dtype == "uint8" else 2**15 - 1
    values = data.draw(arrays.arrays(np.int64, SHAPES, elements=st.integers(0, num_classes - 1)))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.tif")
        tifffile.imwrite(path, values.astype(dtype), photometric="minisblack")
        ids, _ = MaskFileReader(num_classes).get_data([path])
        assert ids.dtype == np.uint8
        np.testing.assert_array_equal(ids, values)
        if num_classes > largest:
            return
        outside = st.integers(num_classes, largest) if "u" in dtype else st.one_of(
            st.integers(num_classes, largest), st.integers(-(2**15), -1)
        )
        value = data.draw(outside)
        values[data.draw(st.integers(0, len(values) - 1)), 0] = value
        tifffile.imwrite(path, values.astype(dtype), photometric="minisblack")
        with pytest.raises(InputError) as error:
            MaskFileReader(num_classes).get_data([path])
        assert path in str(error.value) and str(value) in str(error.value)


@few
@given(st.sampled_from([65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, -1, -(2**31), 0.5, 1e300, -1e300, 2.0**63]),
       st.integers(2, 256))
def test_values_that_no_label_has_are_named(value, num_classes):
    pixels = np.zeros((5, 7))
    pixels[1, 2] = value
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.tif")
        tifffile.imwrite(path, pixels)
        if value == 65535 and num_classes == 2:  # what a 16-bit mask of two classes has
            assert MaskFileReader(2).get_data([path])[0].sum() == 1
            return
        with pytest.raises(InputError) as error:
            MaskFileReader(num_classes).get_data([path])
        told = str(error.value)
        assert path in told and (f"{abs(value):g}" in told or str(float(value)) in told or str(value) in told)
