# SPDX-License-Identifier: Apache-2.0

"""Resize and pad images: fit them into a size without changing their aspect ratio, as published, and pad slices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, Resize, SpatialPad
from monai.transforms.spatial.functional import resize
from monai.utils import TraceKeys, ensure_tuple_rep

__all__ = ["Fit", "Fitd", "PadInPlane"]


class Fit(Resize):
    """Scale an image by one factor for both axes, so that it just fits into ``spatial_size``.

    This differs from :py:class:`monai.transforms.Resize` with ``size_mode="longest"`` in three ways. The target may be
    a rectangle. 8-bit images are rounded and stay 8-bit, so that they need little memory in a cache. Enlarged images
    are interpolated bilinearly, because averaging over areas would only repeat pixels. This also applies when
    probabilities are enlarged to the original size.

    Args:
        spatial_size: (H, W) in pixels that the image must fit into; the paper uses 512 x 512.
        mode: interpolation: "area" for images, which is bilinear when they are enlarged, or "nearest" for label ids.
    """

    def __init__(self, spatial_size: Sequence[int] | int, mode: str = "area") -> None:
        super().__init__(spatial_size=spatial_size, mode=mode)
        self.target = ensure_tuple_rep(spatial_size, 2)

    def __call__(self, img: torch.Tensor, mode: str | None = None) -> torch.Tensor:  # type: ignore[override]
        """
        Args:
            img: an image (C, H, W), or a volume (C, H, W, D), whose slices are all scaled in the same way; any dtype.
            mode: interpolation; None uses that of the constructor.

        Returns:
            (C, h, w), or (C, h, w, D) for a volume. Neither h nor w exceeds ``spatial_size``, and one of them equals
            it. The dtype is uint8 for uint8 input, else float32.
        """
        size, depth = img.shape[1:3], tuple(img.shape[3:])
        scale = min(target / side for target, side in zip(self.target, size))
        fitted = tuple(max(1, round(side * scale)) for side in size)
        mode = _smooth(mode or self.mode, enlarges=scale > 1, volume=bool(depth))
        # torch can resize 8-bit images directly, ten times as fast, but not in the mode "area" and not volumes
        stays_uint8 = img.dtype == torch.uint8 and mode != "area" and not depth
        dtype = torch.uint8 if stays_uint8 else torch.float32
        info, axes = self.get_transform_info(), 2 + len(depth)
        resized = resize(img, fitted + depth, mode, None, dtype, axes, False, None, False, info)
        if img.dtype == torch.uint8 and resized.dtype != torch.uint8:
            return resized.round().to(torch.uint8)
        return resized

    def inverse_transform(self, data: torch.Tensor, transform: dict[str, Any]) -> torch.Tensor:
        info = transform[TraceKeys.EXTRA_INFO]
        enlarges = max(transform[TraceKeys.ORIG_SIZE][:2]) > max(data.shape[1:3])
        info["mode"] = _smooth(info["mode"], enlarges=enlarges, volume=data.ndim > 3)
        info["dtype"] = torch.float32
        return super().inverse_transform(data, transform)


def _smooth(mode: str, *, enlarges: bool, volume: bool) -> str:
    """Return the mode for a change of size: "area" only if the image gets smaller, else bilinear interpolation.

    For a volume whose depth stays, trilinear interpolation equals bilinear interpolation of each slice.
    """
    if mode not in ("area", "bilinear", "trilinear"):
        return mode
    return ("trilinear" if volume else "bilinear") if enlarges else "area"


class PadInPlane(SpatialPad):
    """Pad images at their lower and right ends to a minimum size. In a volume every slice is padded, but not the depth.

    Args:
        spatial_size: minimum (H, W) in pixels.
    """

    def __init__(self, spatial_size: Sequence[int]) -> None:
        super().__init__(spatial_size, method="end")
        self.target = (spatial_size[0], spatial_size[1])

    def compute_pad_width(  # type: ignore[override]
        self, spatial_shape: Sequence[int]
    ) -> tuple[tuple[int, int], ...]:
        """
        Args:
            spatial_shape: (H, W) of an image or (H, W, D) of a volume, in pixels.

        Returns:
            For the channel axis and each spatial axis, the pixels to add before and after.
        """
        margins = (max(0, target - side) for target, side in zip(self.target, spatial_shape))
        return ((0, 0), *((0, margin) for margin in margins), *((0, 0) for _ in spatial_shape[2:]))


class Fitd(MapTransform, InvertibleTransform):
    """Dictionary form of :py:class:`Fit`.

    Args:
        keys: keys of tensors (C, H, W) or (C, H, W, D).
        spatial_size: (H, W) in pixels that each image must fit into.
        mode: interpolation as in :py:class:`Fit`, one for all keys or one for each key.
        allow_missing_keys: whether missing keys are skipped instead of raising an error.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: Sequence[int] | int,
        mode: Sequence[str] | str = "area",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.fit = Fit(spatial_size)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        fitted = dict(data)
        for key, mode in self.key_iterator(fitted, self.mode):
            fitted[key] = self.fit(fitted[key], mode=mode)
        return fitted

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        inverted = dict(data)
        for key in self.key_iterator(inverted):
            inverted[key] = self.fit.inverse(inverted[key])
        return inverted
