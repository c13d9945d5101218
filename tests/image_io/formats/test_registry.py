# SPDX-License-Identifier: Apache-2.0

"""The registry of formats, and all kinds of channels and depth that the page on inference promises of them."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import ImageFile

import images
from scripts.common.errors import InputError
from scripts.data.layouts.files import image_files
from scripts.image_io.formats import registry as formats
from scripts.image_io.formats.pixels import OpenedFile, Pixels
from scripts.image_io.formats.registry import (
    FORMATS,
    Format,
    format_named,
    format_of,
    has_image_suffix,
    image_suffix,
    stem,
)
from scripts.image_io.pages import read_pages
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.inference.inputs import images_to_segment
from specimens import marked, promises, write
from volumes import save_dicom
from workflows import run

PROMISES = promises()
SIZE = (images.HEIGHT, images.WIDTH)


class Facts(NamedTuple):
    """What is decided of a format; a wrong value would lose masks or labels."""

    suffixes: str
    mask_of_one: str = ".png"
    mask_of_several: str = ".tif"
    in_datastore: bool = True
    writes_labels: bool = False
    may_have_pages: bool = False
    is_volume: bool = False
    is_lossy: bool = False
    may_lack_suffix: bool = False


#: decisions that a change of code must not undo; a new format is in the registry alone
FACTS = {
    "PNG": Facts(".png", writes_labels=True),
    "JPEG": Facts(".jpg .jpeg", is_lossy=True),
    "TIFF": Facts(".tif .tiff", writes_labels=True, may_have_pages=True),
    "BMP": Facts(".bmp", writes_labels=True),
    "GIF": Facts(".gif", may_have_pages=True),
    "DICOM": Facts(".dcm .dicom", in_datastore=False, may_have_pages=True, may_lack_suffix=True),
    "NIfTI": Facts(".nii .nii.gz", ".nii.gz", ".nii.gz", writes_labels=True, may_have_pages=True, is_volume=True),
}
ALL = {"1 bit", "palette", "gray 8", "gray 16", "gray float", "gray alpha 8", "RGB 8", "RGB 16", "RGBA 8", "RGBA 16"}
#: the kinds of pixels that users were promised; the page must go on promising them
CELLS = {
    "PNG": ALL - {"gray float"},
    "JPEG": {"gray 8", "RGB 8"},
    "TIFF": ALL,
    "BMP": {"1 bit", "palette", "gray 8", "RGB 8"},
    "GIF": {"palette"},
    "DICOM": {"gray 8", "gray 16", "RGB 8"},
    "NIfTI": {"gray 8", "gray 16", "gray float", "RGB 8"},
}
OF_EACH_SUFFIX = [(format_, suffix) for format_ in FORMATS for suffix in format_.suffixes]


def usual(format_: Format) -> str:
    """A kind of pixels that the format has."""
    kinds = dict(PROMISES)[format_.name]
    return "gray 8" if "gray 8" in kinds else kinds[0]


def test_the_page_on_inference_has_a_row_for_each_format():
    assert [name for name, _ in PROMISES] == [format_.name for format_ in FORMATS]
    assert all(kinds for _, kinds in PROMISES)
    assert {name: set(kinds) for name, kinds in PROMISES if name in CELLS} == CELLS


@pytest.mark.parametrize("name, kind", [(name, kind) for name, kinds in PROMISES for kind in kinds])
def test_what_the_page_on_inference_promises_is_read(name, kind, tmp_path):
    format_ = next(row for row in FORMATS if row.name == name)
    path = write(tmp_path / f"a{format_.suffixes[-1]}", kind)
    (page,) = read_pages(str(path), 24 * 16)
    assert page.values.shape == marked(kind).shape
    assert (page.values.dtype == np.uint8) == (marked(kind).dtype == np.uint8)
    assert (page.palette is not None) == (kind == "palette") and page.lossy == format_.is_lossy
    values = ImageFileReader().get_data([str(path)])[0]
    assert values.shape == (*SIZE, 3)
    there = images.marked() > 0
    if format_.is_lossy:  # blurs the edge
        assert values[1:3, 1:5].min() >= 247 and values[there].mean() > 230 and values[~there].mean() < 5
    else:
        assert values[there].min() == 255 and values[~there].max() == 0


# the rows of the registry


def test_suffixes_in_the_order_of_the_registry():
    known = " ".join(facts.suffixes for facts in FACTS.values()).split()
    assert [suffix for suffix in formats.image_suffixes() if suffix in known] == known
    assert len(set(formats.image_suffixes())) == len(formats.image_suffixes())
    of_labels = [".png", ".tif", ".tiff", ".bmp", ".nii", ".nii.gz"]
    assert [suffix for suffix in formats.label_suffixes() if suffix in known] == of_labels


@pytest.mark.parametrize("name, facts", FACTS.items())
def test_what_is_decided_of_a_format(name, facts):
    (row,) = (row for row in FORMATS if row.name == name)
    assert facts == Facts(
        " ".join(row.suffixes), row.mask_of(1).suffix, row.mask_of(3).suffix, row.in_datastore,
        bool(row.write_label), row.may_have_pages, row.is_volume, row.is_lossy, row.may_lack_suffix,
    )  # fmt: skip


@pytest.mark.parametrize("format_, suffix", OF_EACH_SUFFIX, ids=lambda value: getattr(value, "name", value))
def test_a_file_of_each_suffix(format_, suffix, tmp_path):
    path = tmp_path / f"a.b{suffix}"
    write(path, usual(format_))
    shouted = f"a.b{suffix.upper()}"
    assert has_image_suffix(path) and has_image_suffix(shouted) and image_suffix(shouted) == suffix.upper()
    assert format_named(path) is format_named(shouted) is format_of(path) is format_
    assert stem(path) == stem(shouted) == "a.b"
    with format_.open(str(path)) as file:
        assert file.pages == 1 and file.size == SIZE
        assert [page.values.shape for page in file.decode(10**6)] == [marked(usual(format_)).shape]
    assert ImageFileReader().get_data([str(path)])[0].shape == (*SIZE, 3)
    volume = ImageFileReader(volumes=True).get_data([str(path)])[0]
    assert volume.shape == ((*SIZE, 1, 3) if format_.is_volume else (*SIZE, 3))
    (item,) = images_to_segment(path, output_dir=tmp_path / "out")
    assert item["mask"] == f"a.b{format_.mask_of(1).suffix}"


@pytest.mark.parametrize("format_", FORMATS, ids=lambda row: row.name)
def test_nothing_is_decoded_before_its_size_is_checked(format_, tmp_path, monkeypatch):
    path = write(tmp_path / f"a{format_.suffixes[0]}", usual(format_))

    @contextmanager
    def opened(path: str) -> Iterator[OpenedFile]:
        with format_.open(path) as file:
            yield file._replace(decode=lambda most: pytest.fail("decoded"))

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
        with pytest.raises(InputError, match=f"{path.name} has 24 x 16 pixels, more than max_pixels=383"):
            read_pages(str(path), 24 * 16 - 1, known=replace(format_, open=opened))
    assert len(read_pages(str(path), 24 * 16)) == 1


def test_content_counts_where_there_is_a_signature(tmp_path):
    images.save(tmp_path / "a.png", images.marked()).rename(tmp_path / "a.dcm")
    assert format_of(tmp_path / "a.dcm").name == "PNG"
    save_dicom(tmp_path / "b.dcm", images.marked()).rename(tmp_path / "b.png")
    assert format_of(tmp_path / "b.png").name == "DICOM"
    begins_as_tiff = b"II*\0" + (tmp_path / "b.png").read_bytes()[4:]
    (tmp_path / "c").write_bytes(begins_as_tiff)
    assert format_of(tmp_path / "c").name == "DICOM" and format_named(tmp_path / "c") is None
    images.save(tmp_path / "d.png", images.marked()).rename(tmp_path / "d.nii")  # NIfTI goes by its name
    assert format_of(tmp_path / "d.nii").name == "NIfTI"


@pytest.mark.parametrize("content", [b"", b"GIF", b"name,size\n", b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_other_formats_are_refused(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    *others, last = (row.name for row in FORMATS)
    with pytest.raises(InputError, match=f"a.png is not a {', '.join(others)} or {last} image; remove it"):
        format_of(tmp_path / "a.png")


@pytest.mark.parametrize("name, end, root", [
    ("a.png", ".png", "a"), ("a.NII.gz", ".NII.gz", "a"), ("a.gz", "", "a"), ("a.txt", "", "a"), ("a", "", "a"),
    ("a.png.jpg", ".jpg", "a.png"), (".png", ".png", ".png"), ("x.nii/b", "", "b"), ("a.nii.gz.tif", ".tif", "a.nii.gz")
])
def test_suffix_and_stem(name, end, root):
    assert (image_suffix(name), stem(name)) == (end, root)


def test_names_are_listed_without_opening_files(tmp_path, monkeypatch):
    names = [f"{i:03d}{suffix}" for i, (_, suffix) in enumerate(OF_EACH_SUFFIX)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    listed = [name for name, (row, _) in zip(names, OF_EACH_SUFFIX) if row.is_volume or not row.may_have_pages]
    (tmp_path / "list.txt").write_text("\n".join(listed))

    def refuse(*args, **kwargs):
        raise AssertionError("opened")

    monkeypatch.setattr(builtins, "open", refuse)
    assert [path.name for path in image_files(tmp_path)] == names
    items = images_to_segment(tmp_path / "list.txt", output_dir=tmp_path / "out")
    assert sorted(Path(item["image"]).name for item in items) == listed


# another format


@contextmanager
def open_made_up(path: str) -> Iterator[OpenedFile]:
    """A format of tests: four letters, height and width in a byte each, and RGB."""
    content = Path(path).read_bytes()
    height, width = content[4:6]

    def decode(max_pixels: int) -> list[Pixels]:
        return [Pixels(np.array(bytearray(content[6:]), np.uint8).reshape(height, width, 3))]

    yield OpenedFile(1, (height, width), decode)


@pytest.fixture
def made_up(tmp_path, monkeypatch) -> Path:
    """Images and their masks in a format that is registered for the test."""
    row = Format(name="MADE", suffixes=(".made", ".m.up"), open=open_made_up, signatures=(b"MADE",))
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, row))
    pixels = np.zeros((40, 56, 3), np.uint8)
    pixels[5:25, 8:30, 0] = 255
    pixels[30, 30] = 255
    for part, values in (("images", pixels), ("masks", np.repeat(pixels[..., :1], 3, axis=2))):
        (tmp_path / "data" / part).mkdir(parents=True)
        for name in ("a.MADE", "b.m.up"):
            (tmp_path / "data" / part / name).write_bytes(b"MADE" + bytes(values.shape[:2]) + values.tobytes())
    return tmp_path / "data"


def test_a_row_is_all_that_listing_and_reading_need(made_up, tmp_path):
    names = [path.name for path in image_files(made_up / "images")]
    assert names == ["a.MADE", "b.m.up"] and [stem(name) for name in names] == ["a", "b"]
    image = ImageFileReader().get_data([str(made_up / "images" / "a.MADE")])[0]
    assert image.shape == (40, 56, 3) and image[5, 8].tolist() == [255, 0, 0]
    ids = MaskFileReader(2).get_data([str(made_up / "masks" / "b.m.up")])[0]
    np.testing.assert_array_equal(ids, image[..., 0] // 255)
    misnamed = (made_up / "images" / "a.MADE").rename(made_up / "images" / "a.png")
    assert format_of(misnamed).name == "MADE"
    with pytest.raises(InputError, match="a.png has 56 x 40 pixels, more than max_pixels=99; crop"):
        read_pages(str(misnamed), 99)


def test_messages_name_a_new_format(made_up, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="supported are .*[.]m[.]up, .*[.]made, "):
        image_files(tmp_path / "empty")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match="a.png is not a .*, .* or MADE image; remove it"):
        format_of(tmp_path / "a.png")


def test_messages_list_formats_in_one_sentence(made_up, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (FORMATS[0], FORMATS[1], formats.FORMATS[-1]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no image; supported are .jpeg, .jpg, .m.up, .made, .png$"):
        image_files(tmp_path / "empty")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match="a.png is not a PNG, JPEG or MADE image; remove it, or convert it to PNG$"):
        format_of(tmp_path / "a.png")


def test_a_row_is_all_that_inference_needs(made_up, tmp_path):
    run(
        "inference",
        dataset_dir=str(made_up),
        ckpt_dir=str(tmp_path / "no model"),
        output_dir=str(tmp_path / "out"),
        spatial_size=[64, 64],
        network_def={"_target_": "workflows.RedIsForeground"},
        run=["$@evaluator.run()", "$@save_masks.report()"],
    )
    image = ImageFileReader().get_data([str(made_up / "images" / "a.MADE")])[0]
    for name in ("a.png", "b.png"):
        ids = np.asarray(images.opened(tmp_path / "out" / name))
        assert ids.shape == (40, 56) and (ids == (image[..., 0] > image[..., 1])).mean() > 0.98
