# SPDX-License-Identifier: Apache-2.0

"""Draw the picture of the README: ``python docs/make_picture.py --dataset_dir DSB2018``, from the bundle's folder.

It shows two images of DSB2018 with their labels and the masks of the model of nuclei in ``models/``. The model was not
trained on these images. They are two of the 67 images on which the epoch was chosen.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from scripts.checkpoints.model_settings import read_settings
from scripts.common.errors import InputError
from scripts.common.files import file_digest, read_json
from scripts.data.layouts.registry import read_layout
from scripts.data.survey import survey_images
from scripts.image_io.pictures import PALETTE
from scripts.image_io.readers import ImageFileReader, MaskFileReader

__all__ = ["IMAGES", "draw_rows", "main", "make_picture"]

#: images of stage1_train: of 55 in fluorescence the one of median Dice, and of 11 of stained tissue the next below it
IMAGES = (
    "a022908f1b7880838dbc0411e50828e64b4f5e0263afdf04295e30bb2ff58005",
    "cbff60361ded0570e5d50429a1aa51d81471819bc9b38359f03cfef76de0038c",
)

_BUNDLE = Path(__file__).resolve().parents[1]
_CAPTIONS = ("image", "label", "mask")
_WIDTH, _GAP, _LETTERS = 256, 8, 14  # pixels: of a panel, between panels, and the height of a caption's letters

Row = tuple[NDArray[np.uint8], NDArray[Any], NDArray[Any]]


def draw_rows(rows: Sequence[Row]) -> Image.Image:
    """Draw a row for each example: image, label and mask, with captions above the first row.

    Args:
        rows: image (H, W, 3) in [0, 255], label ids (H, W) and predicted ids (H, W). Each example has its own size.

    Returns:
        An RGB picture on white ground. All panels have the same width.
    """
    lines = [[_panel(_stretched(image), Image.Resampling.LANCZOS), *map(_colored, ids)] for image, *ids in rows]
    top = _LETTERS + 2 * _GAP
    height = top + sum(line[0].height + _GAP for line in lines) - _GAP
    picture = Image.new("RGB", (3 * _WIDTH + 2 * _GAP, height), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_LETTERS)
    for column, caption in enumerate(_CAPTIONS):
        middle = column * (_WIDTH + _GAP) + _WIDTH // 2
        pen.text((middle, top // 2), caption, fill="black", font=font, anchor="mm")
    for line in lines:
        for column, panel in enumerate(line):
            picture.paste(panel, (column * (_WIDTH + _GAP), top))
        top += line[0].height + _GAP
    return picture


def make_picture(dataset_dir: Path, path: Path) -> list[float]:
    """Segment the two images and save the picture.

    Args:
        dataset_dir: folder that holds ``stage1_train/``.
        path: of the picture, a PNG file.

    Returns:
        The Dice of each image, at its own size.

    Raises:
        InputError: if an image is missing or had another part in the training, or the model is not the one that comes
            with the bundle.
    """
    models = _BUNDLE / "models"
    if file_digest(models / "model.pt") != read_json(_BUNDLE / "configs" / "metadata.json")["model_sha256"]:
        raise InputError(f"{models / 'model.pt'} is not the model of nuclei; run: git checkout -- {models}")
    there = {Path(item["image"]).stem: item for item in read_layout("dsb2018", dataset_dir)}
    if missing := [name for name in IMAGES if name not in there]:
        raise InputError(f"{dataset_dir} has no image {missing[0]}; give the folder of all of DSB2018's stage1_train/")
    items = [there[name] for name in IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        _check_part(items, models, Path(folder, "surveys"))
        masks = _segment([Path(item["image"]) for item in items], Path(folder))
    read_image, read_mask = ImageFileReader(), MaskFileReader(2)
    images = [read_image.get_data([item["image"]])[0].astype(np.uint8) for item in items]
    labels = [read_mask.get_data(item["label"])[0] for item in items]
    draw_rows(list(zip(images, labels, masks))).save(path, optimize=True)
    return [_dice(label, mask) for label, mask in zip(labels, masks)]


def _check_part(items: list[dict[str, Any]], models: Path, cache_dir: Path) -> None:
    """Check by the pixels that the epoch was chosen on the images."""
    facts = survey_images(items, image_reader=ImageFileReader(), mask_reader=MaskFileReader(2), cache_dir=cache_dir)
    parts = {image["digest"]: image["part"] for image in read_settings(models)["images"].values()}
    for each in facts:
        if (part := parts.get(each.digest)) != "validate":
            raise InputError(f"{each.image} has the part {part!r} in models/model.json; show images of 'validate' only")


def _segment(paths: Sequence[Path], folder: Path) -> list[NDArray[Any]]:
    """The masks of images, from the bundle's own inference."""
    (folder / "images").mkdir()
    for path in paths:
        shutil.copy(path, folder / "images" / path.name)
    monai.bundle.run(
        run_id="inferring",
        config_file=str(_BUNDLE / "configs" / "inference.json"),
        bundle_root=str(_BUNDLE),
        dataset_dir=str(folder / "images"),
        output_dir=str(folder / "masks"),
        precision="float32",
    )
    return [np.asarray(Image.open(folder / "masks" / path.name)) for path in paths]


def _stretched(image: NDArray[np.uint8]) -> Image.Image:
    low, high = float(image.min()), float(image.max())
    return Image.fromarray(((image - low) * (255 / max(high - low, 1))).round().astype(np.uint8))


def _colored(ids: NDArray[Any]) -> Image.Image:
    return _panel(Image.fromarray(PALETTE[ids.astype(np.uint8)]), Image.Resampling.NEAREST)


def _panel(picture: Image.Image, way: Image.Resampling) -> Image.Image:
    return picture.resize((_WIDTH, max(1, round(picture.height * _WIDTH / picture.width))), way)


def _dice(label: NDArray[Any], mask: NDArray[Any]) -> float:
    return float(2 * np.sum((label > 0) & (mask > 0)) / (np.sum(label > 0) + np.sum(mask > 0)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the picture and print where it is.

    Args:
        arguments: of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog="python docs/make_picture.py", description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True, help="folder that holds stage1_train/ of DSB2018")
    parser.add_argument("--output", type=Path, default=_BUNDLE / "docs" / "nuclei.png", help="file to write")
    asked = parser.parse_args(arguments)
    scores = make_picture(asked.dataset_dir, asked.output)
    print(f"{asked.output} (Dice {', '.join(f'{score:.3f}' for score in scores)})")


if __name__ == "__main__":
    main()
