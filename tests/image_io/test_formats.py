# SPDX-License-Identifier: Apache-2.0

"""The registry of formats, and all kinds of channels and depth that the page on inference promises of them."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.data.layouts.files import image_files
from scripts.image_io import formats
from scripts.image_io.formats import FORMATS, Format, format_named, format_of, has_image_suffix, image_suffix, stem
from scripts.image_io.pages import read_pages
from scripts.image_io.pixels import OpenedFile, Pixels
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.inference.inputs import images_to_segment
from volumes import save_dicom
from workflows import BUNDLE, run

KINDS = ("1 bit", "palette", "gray 8", "gray 16", "gray float", "gray alpha 8", "RGB 8", "RGB 16", "RGBA 8", "RGBA 16")
CELLS = {
    "PNG": {*KINDS} - {"gray float"},
    "JPEG": {"gray 8", "RGB 8"},
    "TIFF": {*KINDS},
    "BMP": {"1 bit", "palette", "gray 8", "RGB 8"},
    "GIF": {"palette"},
    "DICOM": {"gray 8", "gray 16", "RGB 8"},
    "NIfTI": {"gray 8", "gray 16", "gray float", "RGB 8"},
}
SIZE = (images.HEIGHT, images.WIDTH)
#: suffix of the mask of one page and of several; whether MONAI Label's datastore takes images, and clients get labels
MASKS = {
    "PNG": (".png", ".tif", True, True),
    "JPEG": (".png", ".tif", True, False),
    "TIFF": (".png", ".tif", True, True),
    "BMP": (".png", ".tif", True, True),
    "GIF": (".png", ".tif", True, False),
    "DICOM": (".png", ".tif", False, False),
    "NIfTI": (".nii.gz", ".nii.gz", True, True),
}
OF_EACH_SUFFIX = [(format_, suffix) for format_ in FORMATS for suffix in format_.suffixes]


def marked(kind: str) -> np.ndarray:
    """A marker at the upper left, of full scale; opaque."""
    channels = {"gray": None, "RGB": 3, "RGBA": 4}[kind.split()[0]]
    dtype = {"8": "uint8", "16": "uint16", "float": "float32"}[kind.split()[-1]]
    full = {"uint8": 255, "uint16": 65535, "float32": 0.75}[dtype]
    pixels = images.marked(channels, dtype, full)
    if channels == 4:
        pixels[..., 3] = full
    return pixels


def save(path: Path, format_: str, kind: str) -> None:
    if kind == "1 bit":
        images.save(path, images.marked(), mode="1")
    elif kind == "palette":
        images.save_palette(path, images.marked(value=1), [0, 0, 0, 255, 255, 255, *range(9)])
    elif kind == "gray alpha 8":
        gray = images.marked()
        Image.merge("LA", [Image.fromarray(gray), Image.new("L", gray.shape[::-1], 255)]).save(path)
    elif format_ == "DICOM":
        save_dicom(path, marked(kind), kind="RGB" if kind.startswith("RGB") else "MONOCHROME2")
    elif format_ == "NIfTI":
        pixels = marked(kind).swapaxes(0, 1)
        if kind == "RGB 8":
            pixels = np.ascontiguousarray(pixels).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
        nib.save(nib.Nifti1Image(pixels[..., None], np.eye(4)), path)
    elif format_ == "TIFF":
        extra = {"extrasamples": ["unassalpha"]} if kind.startswith("RGBA") else {}
        images.save_tiff(path, marked(kind), photometric="rgb" if kind.startswith("RGB") else "minisblack", **extra)
    elif kind.endswith("16"):
        images.save_png(path, marked(kind))
    else:
        images.save(path, marked(kind))


@pytest.mark.parametrize("format_, kind", [(name, kind) for name in CELLS for kind in KINDS if kind in CELLS[name]])
def test_the_marker_is_where_it_was(format_, kind, tmp_path):
    path = tmp_path / f"a{next(row.suffixes for row in FORMATS if row.name == format_)[-1]}"
    save(path, format_, kind)
    found = ImageFileReader().get_data([str(path)])[0]
    assert found.shape == (images.HEIGHT, images.WIDTH, 3)
    there = images.marked() > 0
    if format_ == "JPEG":  # blurs the edge
        assert found[1:3, 1:5].min() >= 247 and found[there].mean() > 230 and found[~there].mean() < 5
    else:
        assert found[there].min() == 255 and found[~there].max() == 0


def test_the_page_on_inference_has_the_same_table():
    text = (BUNDLE / "docs" / "inference.md").read_text()
    (table,) = re.findall(r"\| format \|.*?\n\n", text, re.S)
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert tuple(head[1:]) == KINDS
    assert {row[0]: {kind for kind, cell in zip(KINDS, row[1:]) if cell == "x"} for row in rows} == CELLS


# the rows of the registry


def test_suffixes_in_the_order_of_the_registry():
    known = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom", ".nii", ".nii.gz")
    assert formats.image_suffixes() == known
    assert formats.label_suffixes() == (".png", ".tif", ".tiff", ".bmp", ".nii", ".nii.gz")


@pytest.mark.parametrize("format_", FORMATS, ids=lambda row: row.name)
def test_what_follows_from_a_format(format_):
    facts = (format_.mask_of(1).suffix, format_.mask_of(3).suffix, format_.in_datastore, bool(format_.write_label))
    assert facts == MASKS[format_.name]
    assert format_.is_volume == (format_.name == "NIfTI") and format_.may_lack_suffix == (format_.name == "DICOM")
    assert format_.may_have_pages == (format_.name in ("TIFF", "GIF", "DICOM", "NIfTI"))


@pytest.mark.parametrize("format_, suffix", OF_EACH_SUFFIX, ids=lambda value: getattr(value, "name", value))
def test_a_file_of_each_suffix(format_, suffix, tmp_path):
    path = tmp_path / f"a.b{suffix}"
    save(path, format_.name, "palette" if format_.name == "GIF" else "gray 8")
    shouted = f"a.b{suffix.upper()}"
    assert has_image_suffix(path) and has_image_suffix(shouted) and image_suffix(shouted) == suffix.upper()
    assert format_named(path) is format_named(shouted) is format_of(path) is format_
    assert stem(path) == stem(shouted) == "a.b"
    with format_.open(str(path)) as file:
        assert file.pages == 1 and file.size == SIZE
        assert [page.values.shape for page in file.decode(10**6)] == [SIZE]
    assert ImageFileReader().get_data([str(path)])[0].shape == (*SIZE, 3)
    volume = ImageFileReader(volumes=True).get_data([str(path)])[0]
    assert volume.shape == ((*SIZE, 1, 3) if format_.is_volume else (*SIZE, 3))
    (item,) = images_to_segment(path, output_dir=tmp_path / "out")
    assert item["mask"] == f"a.b{format_.mask_of(1).suffix}"


@pytest.mark.parametrize("format_", FORMATS, ids=lambda row: row.name)
def test_nothing_is_decoded_before_its_size_is_checked(format_, tmp_path):
    path = tmp_path / f"a{format_.suffixes[0]}"
    save(path, format_.name, "palette" if format_.name == "GIF" else "gray 8")

    @contextmanager
    def opened(path: str) -> Iterator[OpenedFile]:
        with format_.open(path) as file:
            yield file._replace(decode=lambda most: pytest.fail("decoded"))

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


@pytest.mark.parametrize("content", [b"", b"GIF", b"name,size\n", b"RIFF\x00\x00\x00\x00WEBPVP8 "])
def test_other_formats_are_refused(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match="a.png is not a PNG, JPEG, TIFF, BMP, GIF, DICOM or NIfTI image; remove it"):
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
    with pytest.raises(InputError, match="supported are .bmp, .dcm, .dicom, .gif, .jpeg, .jpg, .m.up, .made, .nii, "):
        image_files(tmp_path / "empty")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match="is not a PNG, JPEG, TIFF, BMP, GIF, DICOM, NIfTI or MADE image; remove it"):
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
