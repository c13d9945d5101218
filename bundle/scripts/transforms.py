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

"""What MONAI lacks: fitting by the longest side and per-image min-max as published, and a quick argmax."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, Resize, SpatialPad, Transform
from monai.transforms.spatial.functional import resize
from monai.utils import TraceKeys, ensure_tuple_rep

__all__ = ["ArgMaxd", "Fit", "Fitd", "ForMonaiLabeld", "MinMax", "MinMaxd", "PadInPlane", "label_ids"]


class Fit(Resize):
    """Scale an image by one factor for both axes, so that it just fits into ``spatial_size``.

    Unlike :py:class:`monai.transforms.Resize` with ``size_mode="longest"`` the target may be a rectangle, 8-bit images
    stay 8-bit (rounded, so that they cache compactly), and what is enlarged stays smooth: averaging over areas would
    repeat pixels there, so it gives way to bilinear interpolation, both here and where probabilities go back to the
    original size.

    Args:
        spatial_size: (H, W) in pixels that the image must fit into; the paper uses 512 x 512.
        mode: interpolation, "area" for images (bilinear where they are enlarged) and "nearest" for label ids.
    """

    def __init__(self, spatial_size: Sequence[int] | int, mode: str = "area") -> None:
        super().__init__(spatial_size=spatial_size, mode=mode)
        self.target = ensure_tuple_rep(spatial_size, 2)

    def __call__(self, img: torch.Tensor, mode: str | None = None) -> torch.Tensor:  # type: ignore[override]
        """
        Args:
            img: (C, H, W), or (C, H, W, D) for a volume, whose slices are each scaled alike; any dtype.
            mode: overrides the constructor's ``mode``.

        Returns:
            (C, h, w) with h and w within ``spatial_size`` and one of them equal; uint8 for uint8 input, else float32.
        """
        size, depth = img.shape[1:3], tuple(img.shape[3:])
        scale = min(target / side for target, side in zip(self.target, size))
        fitted = tuple(max(1, round(side * scale)) for side in size)
        mode = _smooth(mode or self.mode, enlarges=scale > 1, volume=bool(depth))
        # torch resizes 8-bit pixels as they are, ten times as fast, but does not average them
        stays = img.dtype == torch.uint8 and mode != "area" and not depth
        dtype = torch.uint8 if stays else torch.float32
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
    """The interpolation for a change of size: areas are averaged only where an image is reduced.

    Of a volume that keeps its depth, trilinear interpolation is bilinear in each slice.
    """
    if mode not in ("area", "bilinear", "trilinear"):
        return mode
    return ("trilinear" if volume else "bilinear") if enlarges else "area"


class PadInPlane(SpatialPad):
    """Pad images at their end to a size; slices of a volume likewise, whose number stays.

    Args:
        spatial_size: (H, W) in pixels.
    """

    def __init__(self, spatial_size: Sequence[int]) -> None:
        super().__init__(spatial_size, method="end")
        self.target = (spatial_size[0], spatial_size[1])

    def compute_pad_width(  # type: ignore[override]
        self, spatial_shape: Sequence[int]
    ) -> tuple[tuple[int, int], ...]:
        """
        Args:
            spatial_shape: (H, W) or (H, W, D) of an image.
        """
        missing = (max(0, target - side) for target, side in zip(self.target, spatial_shape))
        return ((0, 0), *((0, each) for each in missing), *((0, 0) for _ in spatial_shape[2:]))


class Fitd(MapTransform, InvertibleTransform):
    """Dictionary form of :py:class:`Fit`.

    Args:
        keys: keys of (C, H, W) tensors.
        spatial_size: (H, W) in pixels that each must fit into.
        mode: interpolation, one for all keys or one a key, as :py:class:`Fit` takes it.
        allow_missing_keys: do not raise where a key is missing.
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


class MinMax(Transform):
    """Scale the intensities of one image so that its minimum becomes -1 and its maximum 1, all channels together.

    :py:class:`monai.transforms.ScaleIntensity` multiplies a constant image by ``minv`` instead: a white 8-bit image
    would become -255. Here a constant image becomes -1 everywhere.
    """

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: (C, H, W), or (B, C, H, W) for a batch of images; any numeric dtype.

        Returns:
            float32 in [-1, 1], of the same shape.
        """
        one_image = (-3, -2, -1)  # amin and amax use all lanes of a CPU here, aminmax takes 20 times as long
        low, high = img.amin(one_image, keepdim=True).float(), img.amax(one_image, keepdim=True).float()
        factor = torch.where(high > low, 2.0 / (high - low), 0.0)
        return img.to(torch.float32, copy=True).sub_(low).mul_(factor).sub_(1.0)


class MinMaxd(MapTransform):
    """Dictionary form of :py:class:`MinMax`.

    Args:
        keys: keys of (C, H, W) tensors, or (C, H, W, D), each slice of which is scaled by itself.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.min_max = MinMax()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        scaled = dict(data)
        for key in self.key_iterator(scaled):
            image = scaled[key]  # (C, H, W), or (C, H, W, D)
            slices = image.movedim(-1, 0) if image.ndim == 4 else image
            scaled[key] = self.min_max(slices).movedim(0, -1) if image.ndim == 4 else self.min_max(slices)
        return scaled


def label_ids(scores: torch.Tensor) -> torch.Tensor:
    """The id of the class with the highest score, the lowest id where scores are equal.

    Args:
        scores: (T, ...), one a class, at most 256.

    Returns:
        (1, ...) uint8.
    """
    return scores.max(dim=0, keepdim=True).indices.to(torch.uint8)


class ForMonaiLabeld(MapTransform):
    """Hand on label ids as the stock app of MONAI Label takes them: columns first, without a channel.

    It compares sizes with the image's ``spatial_shape``, which is turned too. It writes them with the suffix of the
    image; JPEG would blur them, so they become PNG unless the client asks for a suffix.

    Args:
        keys: keys of (1, H, W) or (1, H, W, D) label ids, which become (W, H) or (W, H, D).
        image_key: key of the image.
    """

    def __init__(self, keys: KeysCollection, image_key: str) -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        turned = dict(data)
        height, width, *depth = turned[self.image_key].meta["spatial_shape"]
        turned[self.image_key].meta["spatial_shape"] = [width, height, *depth]
        for key in self.key_iterator(turned):  # on the CPU: writers make NumPy arrays of plain tensors
            turned[key] = torch.as_tensor(turned[key]).cpu()[0].transpose(0, 1).contiguous()
        if str(turned.get("image_path")).lower().endswith((".jpg", ".jpeg")):
            turned["result_extension"] = turned.get("result_extension") or ".png"
        return turned


class ArgMaxd(MapTransform):
    """Replace the scores of the classes by the id of the highest.

    :py:class:`monai.transforms.AsDiscreted` does so by ``torch.argmax``, which takes 40 times as long on a CPU when the
    classes come first, as they do here.

    Args:
        keys: keys of (T, H, W) tensors; the result is (1, H, W), int64, and the lowest id where scores are equal.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        chosen = dict(data)
        for key in self.key_iterator(chosen):
            chosen[key] = chosen[key].max(dim=0, keepdim=True).indices
        return chosen
