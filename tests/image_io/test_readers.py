# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, Invertd, LoadImaged, Resized, SaveImaged, SpatialPadd
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.image_io.readers import ImageFileReader, MaskFileReader

SHAPE = (images.HEIGHT, images.WIDTH)
GREY = images.ramp(*SHAPE, dtype="uint8", step=3)
COLOR = images.ramp(*SHAPE, 3, dtype="uint8", step=7)


def read(path, channels: int = 3) -> np.ndarray:
    reader = ImageFileReader(channels=channels)
    return reader.get_data(reader.read(str(path)))[0]


def read_mask(*paths, num_classes: int = 2) -> np.ndarray:
    reader = MaskFileReader(num_classes)
    return reader.get_data(reader.read(tuple(map(str, paths))))[0]


def load(image, label) -> Compose:
    """The two transforms as a config has them, on MONAI's own machinery."""
    options = {"dtype": None, "ensure_channel_first": True, "image_only": True}
    return Compose(
        [
            LoadImaged(keys="image", reader=ImageFileReader(), **options),
            LoadImaged(keys="label", reader=MaskFileReader(2), **options),
        ]
    )({"image": image, "label": label})


@pytest.mark.parametrize("mask_suffix", ["png", "tif", "bmp", "gif", "jpg"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "BMP"])
def test_image_and_mask_agree_on_every_pixel(suffix, mask_suffix, tmp_path):
    image = images.save(tmp_path / f"a.{suffix}", images.marked(3))
    label = images.save(tmp_path / f"a_mask.{mask_suffix}", images.marked())
    data = load(str(image), str(label))
    assert data["image"].shape == (3, *SHAPE)
    assert data["label"].shape == (1, *SHAPE)
    assert data["image"].dtype == data["label"].dtype == torch.uint8
    assert data["label"].unique().tolist() == [0, 1]
    bright = data["image"].as_tensor() > 127
    assert torch.equal(bright, data["label"].as_tensor().bool().expand(3, -1, -1))
    assert bright[:, :4, :6].all()
    assert bright.sum() == 3 * 24


def test_a_list_of_parts_is_one_mask(tmp_path):
    image = images.save(tmp_path / "a.png", images.marked(3))
    parts = [np.zeros(SHAPE, dtype=np.uint8) for _ in range(3)]
    parts[0][:2], parts[1][1:3], parts[2][-1, -1] = 255, 1, 255  # the first two overlap
    paths = [str(images.save(tmp_path / f"{i}.png", part)) for i, part in enumerate(parts)]
    label = load(str(image), paths)["label"]
    assert label.shape == (1, *SHAPE)
    np.testing.assert_array_equal(label[0], np.maximum.reduce(parts) > 0)


def test_transforms_are_inverted_in_place(tmp_path):
    data = load(str(images.save(tmp_path / "a.png", COLOR)), str(images.save(tmp_path / "m.png", images.marked())))
    there = Compose(
        [
            Resized(keys=["image", "label"], spatial_size=(32, 48), mode="nearest"),
            SpatialPadd(keys=["image", "label"], spatial_size=(64, 64), method="end"),
        ]
    )
    moved = there(data)
    assert moved["image"].shape == (3, 64, 64)
    moved["pred"] = moved["label"].clone()
    back = Invertd(keys=["pred", "image"], transform=there, orig_keys=["label", "image"], nearest_interp=True)(moved)
    np.testing.assert_array_equal(back["pred"][0], images.marked(value=1))
    np.testing.assert_array_equal(back["image"], np.moveaxis(COLOR, -1, 0))


def test_a_saved_mask_is_read_again(tmp_path):
    path = images.save(tmp_path / "a.png", images.marked())
    data = load(str(path), str(path))
    data["label"].meta["filename_or_obj"] = str(path)
    save = SaveImaged(
        keys="label", output_dir=tmp_path, output_postfix="seg", output_ext=".png", output_dtype=np.uint8,
        resample=False, separate_folder=False, print_log=False,
    )
    save.set_options(write_kwargs={"reverse_indexing": False})(data)  # Pillow's writer would exchange rows and columns
    np.testing.assert_array_equal(read_mask(tmp_path / "a_seg.png"), images.marked(value=1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches(num_workers, tmp_path):
    image = images.save(tmp_path / "a.png", images.marked(3))
    items = [{"image": str(image), "label": [str(image), str(image)]}, {"image": str(image), "label": str(image)}]
    loader = DataLoader(Dataset(items, lambda item: load(**item)), batch_size=2, num_workers=num_workers)
    batch = next(iter(loader))
    assert batch["image"].shape == (2, 3, *SHAPE)
    assert batch["label"].shape == (2, 1, *SHAPE)


@pytest.mark.parametrize(
    "stored, mode, channels, expected",
    [
        (GREY, None, 3, np.stack([GREY] * 3, -1)),
        (GREY, "LA", 3, np.stack([GREY] * 3, -1)),
        (GREY, None, 1, GREY[..., None]),
        (COLOR, None, 3, COLOR),
        (images.marked(), "1", 3, images.marked(3)),
        (images.marked(), "1", 1, images.marked(1)),
    ],
    ids=["grey", "grey and alpha", "grey to grey", "RGB", "1 bit", "1 bit to grey"],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_8_bit_intensities(stored, mode, channels, expected, suffix, tmp_path):
    values = read(images.save(tmp_path / f"a.{suffix}", stored, mode), channels)
    assert values.dtype == np.uint8
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colors_below_alpha_are_kept(suffix, tmp_path):
    alpha = images.ramp(*SHAPE, 1, dtype="uint8", step=11)
    path = images.save(tmp_path / f"a.{suffix}", np.concatenate([COLOR, alpha], axis=-1))
    np.testing.assert_array_equal(read(path), COLOR)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_palettes_become_colors(suffix, tmp_path):
    path = images.save_palette(tmp_path / f"a.{suffix}", images.marked(value=1), [9, 8, 7, 200, 3, 5])
    values = read(path)
    assert (values[:4, :6] == (200, 3, 5)).all()
    assert values[-1, -1].tolist() == [9, 8, 7]


def test_a_palette_with_transparency_keeps_its_colors(tmp_path):
    path = images.save_palette(tmp_path / "a.png", images.marked(value=1), [9, 8, 7, 200, 3, 5])
    with Image.open(path) as image:
        image.save(tmp_path / "b.png", transparency=bytes([0, 128]))
    assert read(tmp_path / "b.png")[0, 0].tolist() == [200, 3, 5]


def test_grey_of_colors_is_luma(tmp_path):
    expected = np.asarray(Image.fromarray(COLOR).convert("L"))[..., None]
    np.testing.assert_array_equal(read(images.save(tmp_path / "a.png", COLOR), channels=1), expected)
    deep = COLOR.astype(np.uint16) * 257
    luma = deep @ (0.299, 0.587, 0.114)
    stretched = (luma - luma.min()) / np.ptp(luma) * 255
    values = read(images.save_png(tmp_path / "deep.png", deep), channels=1)
    np.testing.assert_allclose(values[..., 0], stretched, rtol=1e-6)


def test_few_bits_of_grey_are_spread(tmp_path):
    values = read(images.save_png(tmp_path / "a.png", images.ramp(*SHAPE, dtype="uint8", step=1) % 4, bits=2))
    assert values[0, :4, 0].tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32", "float64"])
def test_deep_grey_is_stretched(dtype, tmp_path):
    pixels = images.ramp(*SHAPE, step=1).astype(dtype) + 1000  # 8 bits would leave two of these 384 levels
    values = read(images.save_tiff(tmp_path / "a.tif", pixels))
    assert values.dtype == np.float32
    assert values.shape == (*SHAPE, 3)
    np.testing.assert_allclose(values[..., 0].ravel(), np.linspace(0, 255, pixels.size), rtol=1e-6)
    assert (values == values[..., :1]).all()


@pytest.mark.parametrize("planes", [3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_colors_are_stretched_together(suffix, planes, tmp_path):
    pixels = np.zeros((*SHAPE, planes), dtype=np.uint16)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 300, 301, 302
    pixels[..., 3:] = 65535  # alpha takes no part
    path = tmp_path / f"a.{suffix}"
    images.save_png(path, pixels) if suffix == "png" else images.save_tiff(path, pixels, photometric="rgb")
    assert read(path)[0, 0].tolist() == [0, 127.5, 255]


def test_a_constant_deep_image_becomes_zero(tmp_path):
    values = read(images.save_tiff(tmp_path / "a.tif", np.full(SHAPE, 500, dtype=np.uint16)))
    assert values.dtype == np.float32
    assert not values.any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_image_and_mask(orientation, tmp_path):
    stored, tags = images.stored_as(images.marked(), orientation), images.exif(orientation)
    path = images.save(tmp_path / "a.png", stored, exif=tags)
    data = load(str(path), str(path))
    np.testing.assert_array_equal(data["image"][0], images.marked())
    np.testing.assert_array_equal(data["label"][0], images.marked(value=1))


@pytest.mark.parametrize("names, supported", [
    ("a.png", True), ("b.c.TIFF", True), (["a.jpg", "a.gif"], True), ("a.png.txt", False), (["a.png", "a.NII.gz"], True)
])
def test_supported_suffixes(names, supported):
    assert ImageFileReader().verify_suffix(names) is supported


@pytest.mark.parametrize("key", ["image", "label"])
def test_monai_passes_the_message_on(key, tmp_path):
    good = str(images.save(tmp_path / "a.png", images.marked()))
    with pytest.raises(RuntimeError) as caught:
        load(**({"image": good, "label": good} | {key: str(tmp_path / "none.png")}))
    causes = [caught.value.__cause__, caught.value.__cause__.__cause__]
    assert any(isinstance(cause, InputError) and "none.png cannot be opened" in str(cause) for cause in causes)


@pytest.mark.parametrize("channels", [0, 2, 4, None])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(InputError, match=f"channels is {channels}; use 3 for RGB or 1 for grey"):
        ImageFileReader(channels=channels)


@pytest.mark.parametrize("num_classes", [-1, 0, 1, 257])
def test_other_numbers_of_classes_are_refused(num_classes):
    with pytest.raises(InputError, match=f"num_classes is {num_classes}; it counts the background, so use 2 to 256"):
        MaskFileReader(num_classes)


@pytest.mark.parametrize("classes, options, words", [
    (3, {}, "one kind of object, without 3 classes; leave it out"),
    (2, {"colors": [[255, 0, 0]]}, "one kind of object, without label_colors; leave it out"),
])  # fmt: skip
def test_ids_of_objects_are_of_one_kind(classes, options, words):
    with pytest.raises(InputError, match=f"instance_labels is for masks of {words}"):
        MaskFileReader(classes, instance_labels=True, **options)
    assert MaskFileReader(classes, background_color=None, **options).rules["instances"] is False


@pytest.mark.parametrize("reader", [ImageFileReader, lambda **kwargs: MaskFileReader(2, **kwargs)])
def test_limit_of_pixels(reader, tmp_path):
    path = str(images.save(tmp_path / "a.png", images.marked()))
    assert reader(max_pixels=384).get_data([path])[0].shape[:2] == SHAPE
    with pytest.raises(InputError, match="a.png has 24 x 16 pixels, more than max_pixels=383"):
        reader(max_pixels=383).get_data([path])
    with pytest.raises(InputError, match="max_pixels is 0; give the number of pixels"):
        reader(max_pixels=0)


def test_an_image_in_parts_is_refused(tmp_path):
    with pytest.raises(InputError, match="an image is one file, but 2 are listed: a.png, b.png; list one"):
        ImageFileReader().get_data(["a.png", "b.png"])


def test_parts_of_more_classes_are_refused():
    with pytest.raises(InputError, match="a.png is one of 2 parts of a mask, which are read for 2 classes only"):
        read_mask("a.png", "b.png", num_classes=3)


def test_parts_of_other_sizes_are_refused(tmp_path):
    first = images.save(tmp_path / "a.png", images.marked())
    second = images.save(tmp_path / "b.png", images.marked()[:, :10])
    with pytest.raises(InputError, match="b.png is 10 x 16 pixels but .*a.png is 24 x 16 pixels; the parts"):
        read_mask(first, second)
