# SPDX-License-Identifier: Apache-2.0

"""Readers of images and masks for MONAI's LoadImaged. Rows come first: the arrays are in (H, W) order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, ensure_tuple
from numpy.typing import NDArray

from ..common.errors import InputError
from ..common.limits import INTENSITIES, MAX_CLASSES, MOST_PIXELS
from .color_classes import check_colors
from .formats.nifti import turned_like
from .formats.pixels import Pixels
from .formats.registry import format_named, format_of, has_image_suffix
from .intensities import intensities_of, ycrcb
from .mask_rules import label_ids
from .pages import read_pages
from .quiet_decoders import leave_out

__all__ = ["ImageFileReader", "MaskFileReader"]


class ImageFileReader(ImageReader):
    """Read an image file of any supported format as intensities with a fixed number of channels.

    The supported formats are in :py:data:`.formats.registry.FORMATS`.

    Rows come first, in contrast to MONAI's PILReader, which exchanges rows and columns. Grey images are replicated,
    palettes become colors, CMYK and YCbCr become RGB, 1-bit images become 0 and 255, alpha is dropped without a change
    of the colors, and the EXIF orientation is applied.

    With the intensities "min_max", images of up to 8 bits keep their values, uint8 in [0, 255]. Images of more bits (16
    bits, integer and float TIFF) have no common range. The range from the minimum to the maximum of such an image is
    stretched to float32 in [0, 255]; a constant image becomes 0. With "percentiles", the range between two percentiles
    of any image is stretched to [0, 255], as :py:func:`.intensities.between_percentiles` says; 8-bit images stay uint8.
    Pixels that the file declares as padding get the smallest value of the others before.

    Args:
        channels: 3 for RGB, or 1 for grey. Colors become grey by their ITU-R 601 luma.
        intensities: "min_max" or "percentiles".
        color_space: color space of images with three channels: "RGB", or "YCrCb" (luma, red difference and blue
            difference, in full range as in JPEG), which the paper uses for dermoscopy.
        max_pixels: largest height x width to decode. It guards against small files that would fill the memory.
        volumes: whether to read volumes. If true, files with several pages, frames or slices are read, and every page
            is stretched by itself. Files of a volume format, such as NIfTI, are volumes even with a single slice. If
            false, files with more than one page are refused.

    Raises:
        InputError: if ``channels`` is neither 1 nor 3, if ``intensities`` or ``color_space`` is none of its two values,
            or if ``max_pixels`` is not positive. Reading raises it for files that cannot be read; the message names the
            file and the cure.

    Example::

        from monai.transforms import LoadImaged

        load = LoadImaged(keys="image", reader=ImageFileReader(), dtype=None, ensure_channel_first=True)  # (3, H, W)
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        intensities: str = "min_max",
        color_space: str = "RGB",
        max_pixels: int = MOST_PIXELS,
        volumes: bool = False,
    ) -> None:
        if channels not in (1, 3):
            raise InputError(f"channels is {channels}; use 3 for RGB or 1 for grey")
        if intensities not in INTENSITIES:
            raise InputError(f"intensities is {intensities!r}; use one of {', '.join(map(repr, INTENSITIES))}")
        if color_space not in ("RGB", "YCrCb"):
            raise InputError(f'color_space is {color_space!r}; use "RGB" or "YCrCb"')
        if max_pixels < 1:
            raise InputError(f"max_pixels is {max_pixels}; give the number of pixels that an image may have")
        self.channels = channels
        self.intensities = intensities
        self.color_space = color_space
        self.max_pixels = max_pixels
        self.volumes = volumes
        leave_out()

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return whether all file names have the suffix of a supported format, in upper or lower case."""
        return all(has_image_suffix(name) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[str]:
        """Return the paths for ``get_data``, which decodes the files, as LoadImage hides errors of this method."""
        return [str(path) for path in ensure_tuple(data)]

    def get_data(self, img: list[str]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Decode the image.

        Args:
            img: the list that ``read`` returned, with the path of one file.

        Returns:
            The image, (H, W, channels) or (H, W, D, channels) for a volume, uint8 or float32 in [0, 255]; and the meta
            data that MONAI expects.
        """
        if len(img) != 1:
            raise InputError(f"an image is one file, but {len(img)} are listed: {', '.join(img[:3])}; list one")
        format_ = format_of(img[0])
        single = not self.volumes
        slices = [self._values(page) for page in read_pages(img[0], self.max_pixels, single=single, known=format_)]
        if len(slices) > 1 or (self.volumes and format_.is_volume):
            volume = np.stack(slices, axis=2)  # (H, W, D, C)
            return volume, _meta(volume.shape[:3], channel_dim=-1)
        return slices[0], _meta(slices[0].shape[:2], channel_dim=-1)

    def plain(self, path: str) -> NDArray[Any]:
        """Decode an image without converting it to the color space, and without cutting off percentiles.

        Args:
            path: path of a file with one image.

        Returns:
            (H, W, channels) uint8 or float32 in [0, 255].
        """
        (page,) = read_pages(path, self.max_pixels, single=True)
        return intensities_of(page, self.channels, "min_max")

    def convert(self, values: NDArray[Any]) -> NDArray[Any]:
        """Convert (H, W, channels) intensities from RGB to the color space of this reader."""
        return ycrcb(values) if self.color_space == "YCrCb" and self.channels == 3 else values

    def _values(self, page: Pixels) -> NDArray[Any]:
        return self.convert(intensities_of(page, self.channels, self.intensities))


class MaskFileReader(ImageFileReader):
    """Read a mask as label ids, by the rules of :py:func:`.mask_rules.label_ids`.

    With two classes, a list of files is read as the parts of one mask, such as one file per object. Every file is read
    by the rules for two classes. Then the parts are combined by OR.

    Args:
        num_classes: number of classes, 2 to 256. The background counts as a class.
        colors: (r, g, b) in 0..255 of the classes 1, 2, ..., for masks that are drawn in colors.
        background_color: (r, g, b) in 0..255 of the background, if it is not black. For two classes or with ``colors``.
        instance_labels: whether every value above 0 is object, as in masks of two classes that hold ids of objects.
        max_pixels: largest height x width to decode, as for images.

    Raises:
        InputError: if ``num_classes`` is out of range, if ``colors`` or ``background_color`` are not such colors, or if
            two of the arguments contradict one another. Reading raises it for files that cannot be read or that break
            the rules; the message names the file, its values and the cure.

    Example::

        from monai.transforms import LoadImaged

        load = LoadImaged(keys="label", reader=MaskFileReader(2), dtype=None, ensure_channel_first=True)  # (1, H, W)
    """

    def __init__(
        self,
        num_classes: int,
        *,
        colors: Sequence[Sequence[int]] | None = None,
        background_color: Sequence[int] | None = None,
        instance_labels: bool = False,
        max_pixels: int = MOST_PIXELS,
    ) -> None:
        super().__init__(channels=1, max_pixels=max_pixels)
        if not 2 <= num_classes <= MAX_CLASSES:
            raise InputError(f"num_classes is {num_classes}; it counts the background, so use 2 to {MAX_CLASSES}")
        check_colors(colors, background_color, num_classes)
        if instance_labels and (num_classes != 2 or colors is not None):
            other = f"{num_classes} classes" if num_classes != 2 else "label_colors"
            raise InputError(f"instance_labels is for masks of one kind of object, without {other}; leave it out")
        self.num_classes = num_classes
        self.colors = colors
        self.background_color = background_color
        self.instance_labels = instance_labels
        self._images: dict[str, str] = {}

    @property
    def rules(self) -> dict[str, Any]:
        """The arguments of :py:func:`.mask_rules.label_ids` that say how masks are read."""
        return {
            "num_classes": self.num_classes,
            "colors": self.colors,
            "background": self.background_color,
            "instances": self.instance_labels,
        }

    def lay_on(self, images: Iterable[Mapping[str, Any]]) -> None:
        """Remember the images of masks, so that a mask with directions in space is read in those of its image.

        Args:
            images: items with ``"image"``, a path, and ``"label"``, a path or a list of paths.
        """
        for item in images:
            for path in [item["label"]] if isinstance(item["label"], str) else item["label"]:
                formats = [format_named(file) for file in (path, item["image"])]
                if all(format_ is not None and format_.is_volume for format_ in formats):
                    self._images[path] = item["image"]

    def get_data(self, img: list[str]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Decode the mask.

        Args:
            img: the list that ``read`` returned, with the paths of the mask or of its parts.

        Returns:
            The mask, (H, W) uint8 ids in 0..num_classes-1, and the meta data that MONAI expects.
        """
        ids = self.read_parts(img)
        return ids, _meta(ids.shape, channel_dim=float("nan"))  # NaN tells MONAI that there is no channel axis

    def read_parts(
        self, paths: Sequence[str], see: Callable[[Pixels], None] = lambda pixels: None
    ) -> NDArray[np.uint8]:
        """Decode a mask that lies in one or more files.

        Args:
            paths: path of the mask, or paths of its parts.
            see: function that is called with the stored pixels of every file.

        Returns:
            (H, W) uint8 ids in 0..num_classes-1.
        """
        if len(paths) > 1 and self.num_classes != 2:
            raise InputError(
                f"{paths[0]} is one of {len(paths)} parts of a mask, which are read for 2 classes only; "
                f"save one mask file with the ids 0 to {self.num_classes - 1}"
            )
        ids = self._read(paths[0], see)
        for path in paths[1:]:
            part = self._read(path, see)
            if part.shape != ids.shape:
                raise InputError(
                    f"{path} is {_width_by_height(part)} but {paths[0]} is {_width_by_height(ids)}; "
                    "the parts of a mask must have the same size"
                )
            ids |= part
        return ids

    def _read(self, path: str, see: Callable[[Pixels], None]) -> NDArray[np.uint8]:
        (pixels,) = read_pages(path, self.max_pixels, single=True)
        if path in self._images:
            pixels = pixels._replace(values=turned_like(pixels.values, path, self._images[path]))
        ids = label_ids(pixels, path=path, **self.rules)
        see(pixels)
        return ids


def _meta(shape: tuple[int, ...], channel_dim: float) -> dict[str, Any]:
    # The affine is the identity, as the coordinates of this bundle are array indices. It has as many dimensions as the
    # image, as MONAI assumes 3D without it.
    return {
        MetaKeys.SPATIAL_SHAPE: np.array(shape),
        MetaKeys.ORIGINAL_CHANNEL_DIM: channel_dim,
        MetaKeys.AFFINE: np.eye(len(shape) + 1),
        MetaKeys.ORIGINAL_AFFINE: np.eye(len(shape) + 1),
    }


def _width_by_height(values: NDArray[Any]) -> str:
    return f"{values.shape[1]} x {values.shape[0]} pixels"
