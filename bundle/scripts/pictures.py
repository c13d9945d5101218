# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Label ids as colors: the palette of saved masks, and overlays on images."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import ImageWriter
from monai.transforms import MapTransform
from PIL import Image
from skimage.segmentation import find_boundaries

from .image_reader import ImageFileReader

__all__ = ["PALETTE", "PalettePNGWriter", "SaveOverlayd", "draw_overlay", "draw_panel", "is_our_mask"]

# background black, then colors that stay apart for color-blind readers (Okabe and Ito), then a fixed pseudo-random rest
_ORANGE, _SKY, _GREEN, _YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
_OKABE_ITO = [_ORANGE, _SKY, _GREEN, _YELLOW, (0, 114, 178), (213, 94, 0), (204, 121, 167)]

#: (256, 3) uint8, the color of each label id
PALETTE = np.random.RandomState(2412).randint(64, 256, (256, 3)).astype(np.uint8)
PALETTE[0] = 0
PALETTE[1 : 1 + len(_OKABE_ITO)] = _OKABE_ITO


class PalettePNGWriter(ImageWriter):
    """Write label ids as an 8-bit palette PNG: the indices are the ids, and any viewer shows colors.

    A writer for :py:class:`monai.transforms.SaveImage`; arrays are in (H, W) order, as the bundle's reader gives them.
    """

    def __init__(self, output_dtype: Any = np.uint8, **kwargs: Any) -> None:
        super().__init__(output_dtype=np.uint8, **kwargs)

    def set_data_array(
        self, data_array: Any, channel_dim: int | None = 0, squeeze_end_dims: bool = True, **kwargs: Any
    ) -> None:
        """
        Args:
            data_array: (1, H, W) label ids in 0..255.
            channel_dim: position of the single channel.
            squeeze_end_dims: not used, a mask has none.
        """
        ids = torch.as_tensor(data_array).cpu().numpy()
        self.data_obj = (np.squeeze(ids, axis=channel_dim) if channel_dim is not None else ids).astype(np.uint8)

    def set_metadata(self, meta_dict: Mapping | None = None, resample: bool = True, **options: Any) -> None:
        """A PNG holds no geometry, so nothing is taken from the metadata.

        Args:
            meta_dict: metadata of the mask.
            resample: not used.
        """

    def write(self, filename: str | os.PathLike, verbose: bool = False, **kwargs: Any) -> None:
        """
        Args:
            filename: path of the PNG file.
            verbose: not used, the run reports how many masks were written and where.
        """
        mask = Image.fromarray(np.asarray(self.data_obj))
        mask.putpalette(PALETTE.tobytes())
        mask.save(filename, compress_level=1)  # half the time of level 6, for a quarter more bytes


def is_our_mask(path: str | os.PathLike) -> bool:
    """Tell by its palette whether a file is a mask that :py:class:`PalettePNGWriter` has written.

    Args:
        path: an existing file.
    """
    try:
        with Image.open(path) as file:
            return file.mode == "P" and file.getpalette() == PALETTE.ravel().tolist()
    except OSError:  # no image
        return False


class SaveOverlayd(MapTransform):
    """Save each predicted mask drawn over its image, as ``<output_dir>/<stem>.png`` at the image's own size.

    Args:
        keys: keys of (1, H, W) label ids whose metadata names the image file.
        output_dir: folder for the pictures, made if missing.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __init__(
        self, keys: KeysCollection, output_dir: str | os.PathLike, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir = Path(output_dir)
        self.reader = ImageFileReader()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.key_iterator(dict(data)):
            source = data[key].meta["filename_or_obj"]
            image, _ = self.reader.get_data(self.reader.read(source))  # as it was, not as it was fitted and scaled
            overlay = draw_overlay(np.moveaxis(image, -1, 0), data[key][0].cpu().numpy())
            self.output_dir.mkdir(parents=True, exist_ok=True)
            Image.fromarray(overlay).save(self.output_dir / f"{Path(source).stem}.png")
        return dict(data)


def draw_overlay(image: np.ndarray, ids: np.ndarray, *, opacity: float = 0.35) -> np.ndarray:
    """Tint each labeled region with its color and outline it.

    Args:
        image: (C, H, W) with 1 or 3 channels, any intensity range.
        ids: (H, W) label ids.
        opacity: of the tint, in [0, 1].

    Returns:
        (H, W, 3) uint8.
    """
    channels = np.moveaxis(np.asarray(image, dtype=np.float64), 0, -1)
    low, high = channels.min(), channels.max()
    picture = np.broadcast_to((channels - low) * (255.0 / max(high - low, 1e-12)), (*ids.shape, 3)).copy()
    colors = PALETTE[ids.astype(np.uint8)].astype(np.float64)
    labeled = ids > 0
    picture[labeled] = (1 - opacity) * picture[labeled] + opacity * colors[labeled]
    outline = find_boundaries(ids, mode="inner")
    picture[outline] = colors[outline]
    return picture.round().astype(np.uint8)


def draw_panel(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], *, gap: int = 4) -> Image.Image:
    """One row an example: image, labels over the image, prediction over the image.

    Args:
        rows: (image (C, H, W), label ids (H, W), predicted ids (H, W)) of equal size.
        gap: white pixels between the pictures.

    Returns:
        An RGB picture.
    """
    lines = []
    for image, label, predicted in rows:
        pictures = [draw_overlay(image, ids) for ids in (np.zeros_like(label), label, predicted)]
        margin = ((0, gap), (0, gap), (0, 0))
        lines.append(np.concatenate([np.pad(p, margin, constant_values=255) for p in pictures], axis=1))
    return Image.fromarray(np.concatenate(lines))
