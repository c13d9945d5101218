# SPDX-License-Identifier: Apache-2.0

"""Small trees of images and masks, as layouts find them, with the traps of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser

import images
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from workflows import CONFIGS

LEFT = np.zeros((16, 24), bool)
LEFT[2:9, 1:8] = True
RIGHT = np.zeros((16, 24), bool)
RIGHT[5:15, 12:22] = True


def photo(value: int = 90) -> np.ndarray:
    pixels = np.full((16, 24, 3), value, np.uint8)
    pixels[..., 1] = np.arange(24)
    return pixels


def white(mask: np.ndarray) -> np.ndarray:
    return (mask * 255).astype(np.uint8)


def read(item: dict[str, Any], num_classes: int = 2, **options) -> tuple[np.ndarray, np.ndarray]:
    """The image (H, W, 3) and the ids (H, W) of an item, as the configs read them."""
    parts = item["label"] if isinstance(item["label"], list) else [item["label"]]
    return ImageFileReader().get_data([item["image"]])[0], MaskFileReader(num_classes, **options).get_data(parts)[0]


def overlay(name: str) -> ConfigParser:
    """The config of a training with the overlay of a dataset."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), str(CONFIGS / "datasets" / f"{name}.json")])
    return parser


def stem(item: dict[str, Any]) -> str:
    return Path(item["image"]).stem


def folder(root: Path, *names: str) -> Path:
    """Write an image (or its mask) under every name, below ``root``."""
    for name in names:
        images.save(root / name, images.marked())
    return root


def names(items: list[dict]) -> list[tuple[str, str]]:
    return [(Path(item["image"]).name, Path(item["label"]).name) for item in items]
