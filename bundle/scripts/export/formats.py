# SPDX-License-Identifier: Apache-2.0

"""The formats of the export: write each file, and check that it computes the same as PyTorch."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn
from torch.export import Dim

from ..checkpoints.loading import load_trained
from ..checkpoints.model_settings import overlays_of, read_settings
from ..checkpoints.published_names import listed
from ..checkpoints.state_dicts import read_weights
from ..common.errors import InputError
from ..common.files import replacing
from ..common.paths import BUNDLE
from ..networks.acceleration import freeze_script
from ..networks.folding import fold_batch_norm
from ..transforms.cleaning import NO_CLEANING
from ..transforms.intensity import MinMax
from .packing import pack

__all__ = ["FORMATS", "ImageToMask", "export"]

FORMATS = ("torchscript", "onnx", "onnx_image_to_mask", "zip")

# Settings that a user of an ONNX file needs; they are stored in its metadata.
_FACTS = ("spatial_size", "geometry", "overlap", "color_space", "intensities", "out_channels", "cleaning")
_STRIDE, _MAX_STRIDES = 32, 128  # sides of images: a multiple of 32 pixels, at most 128 times 32
_CLOSE = 1e-4  # largest allowed difference of logits
_EQUAL = 0.9999  # smallest allowed share of equal pixels in masks
_EQUAL_BY_HALF = 0.999  # the same for weights in half precision

_logger = logging.getLogger("qtseg")


class ImageToMask(nn.Module):
    """A network with pre- and postprocessing: from decoded images to masks.

    If the intensities of the network are "percentiles", these must be cut off before, as they depend on the image
    without padding.

    Args:
        network: a network that takes images (N, 3, H, W) in [-1, 1] and returns logits (N, T, H, W).
        color_space: the color space of its training, "RGB" or "YCrCb".
    """

    def __init__(self, network: nn.Module, color_space: str) -> None:
        super().__init__()
        self.network = network
        self.converts = color_space == "YCrCb"
        self.normalize = MinMax()

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: (N, 3, H, W) uint8 RGB; H and W must be divisible by 32.

        Returns:
            Label ids (N, 1, H, W) uint8.
        """
        values = image.float()
        if self.converts:
            red, green, blue = values.unbind(dim=1)
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            values = torch.stack([luma, (red - luma) * 0.713 + 128, (blue - luma) * 0.564 + 128], dim=1)
            values = values.round().clamp(0, 255)
        return self.network(self.normalize(values)).argmax(dim=1, keepdim=True).to(torch.uint8)


def export(ckpt_dir: Path, output_dir: Path, formats: Sequence[str] = FORMATS, *, half: bool = False) -> list[Path]:
    """Export a model, and check that each file computes the same as PyTorch.

    - torchscript, ``model.ts``: from images (N, 3, H, W) in [-1, 1] to logits (N, T, H, W); needs no Python.
    - onnx, ``model.onnx``: the same.
    - onnx_image_to_mask, ``image_to_mask.onnx``: from images to masks, as :py:class:`ImageToMask`.
    - zip, ``qtseg.zip``: the bundle with this model, for ``monai.bundle``. Its ``model.json`` holds no names of files
      or groups, and its layout is a plain folder. Images of the training are still recognized by their pixels.

    In ONNX, N, H and W are free, but H and W must be divisible by 32 and at most 4096. The metadata of the file holds
    the model's ``spatial_size``, ``geometry``, ``overlap``, ``color_space``, ``intensities``, ``out_channels`` and
    ``cleaning`` as JSON.

    Args:
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        output_dir: folder for the exported files.
        formats: names from :py:data:`FORMATS`.
        half: whether the zip stores the weights in half precision, which halves its size. The network still computes
            in the same precision.

    Returns:
        The paths of the exported files.

    Raises:
        InputError: if a format is unknown, the model cannot be read or is not a QTSeg, or a file computes something
            else than PyTorch.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"formats has {unknown[0]!r}; use some of {', '.join(FORMATS)}")
    settings = read_settings(ckpt_dir)
    if overlays_of(settings["network_name"]):
        raise InputError(f"{ckpt_dir} has a model of {settings['network_name']}; only QTSeg can be exported")
    if half and "zip" not in formats:
        raise InputError(f"--half is for the zip only, and formats are {', '.join(formats)}; add zip, or omit --half")
    network = _load_network(ckpt_dir, ckpt_dir / "model.pt")
    whole = ImageToMask(network, settings["color_space"]).eval()
    facts = {name: settings[name] for name in _FACTS}
    height, width = settings["spatial_size"]
    # Sides are at least two strides, because the exporter would treat one stride as a constant. The second image checks
    # another size.
    images = [_test_image(max(height, 2 * _STRIDE), max(width, 2 * _STRIDE)), _test_image(2 * _STRIDE, 3 * _STRIDE)]
    scaled = [MinMax()(image) for image in images]
    files = []
    for name in dict.fromkeys(formats):
        if name == "torchscript":
            path = output_dir / "model.ts"
            script = freeze_script(network)
            _save(path, lambda file: torch.jit.save(script, file))
            loaded = torch.jit.load(path)
            _check_logits(path, network, loaded, scaled)
        elif name == "onnx":
            path = output_dir / "model.onnx"
            _save_onnx(path, network, scaled[0], "logits", facts)
            _check_logits(path, network, _load_onnx(path), scaled)
        elif name == "onnx_image_to_mask":
            path = output_dir / "image_to_mask.onnx"
            _save_onnx(path, whole, images[0], "mask", facts)
            _check_masks(path, whole, _load_onnx(path), images)
            if settings["cleaning"] != NO_CLEANING:
                _logger.warning(f"{path}: masks are not cleaned; its metadata holds the settings of the cleaning")
            if settings["geometry"] == "native":
                _logger.warning(
                    f"{path}: the model was trained on windows of {height} x {width} pixels, of images that were "
                    "scaled as a whole; for masks like the bundle's, use the zip, or model.onnx on overlapping windows"
                )
        else:
            path = output_dir / "qtseg.zip"
            with tempfile.TemporaryDirectory() as folder:
                model = ckpt_dir / "model.pt"
                if half:
                    model = _halved(model, Path(folder))
                    halved = ImageToMask(_load_network(ckpt_dir, model), settings["color_space"]).eval()
                    equal = _equal_share(whole, halved, images)
                    if not equal >= _EQUAL_BY_HALF:
                        changed = f"weights in half precision change {1 - equal:.2%} of the pixels of masks"
                        raise InputError(f"{changed}; leave out --half")
                    _logger.info(f"{path}: {equal:.4%} of the pixels of masks are the same as in full precision")
                _save(path, lambda file: pack(ckpt_dir, model, file))
        _logger.info(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
        files.append(path)
    return files


def _load_network(ckpt_dir: Path, model: Path) -> nn.Module:
    """Build the network that the settings in ``ckpt_dir`` describe, and load the weights of ``model`` for inference."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.json")
    parser.update({"ckpt_dir": str(ckpt_dir)})
    network: nn.Module = parser.get_parsed_content("network_def")
    load_trained(network, model)
    network.eval()
    fold_batch_norm(network)
    return network


def _halved(model: Path, folder: Path) -> Path:
    """Write the model's weights in half precision to a file in ``folder``; returns its path."""
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in read_weights(model).items()
    }
    too_large = [name for name, value in weights.items() if not value.isfinite().all()]
    if too_large:
        raise InputError(f"{model} has values in {listed(too_large)} too large for half precision; leave out --half")
    torch.save(weights, folder / "half.pt")
    return folder / "half.pt"


def _test_image(height: int, width: int) -> Tensor:
    """Draw an image with coarse and fine structures, (1, 3, H, W) uint8."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(rows / a) * torch.cos(columns / b) for a, b in ((3, 40), (17, 11), (50, 5))]
    return (127.5 * (torch.stack(waves) + 1)).round().to(torch.uint8)[None]


def _save(path: Path, write: Callable[[str], Any]) -> None:
    with replacing(path) as partial:
        write(str(partial))


def _save_onnx(path: Path, module: nn.Module, image: Tensor, output: str, facts: Mapping[str, Any]) -> None:
    _import_onnxruntime()
    sides = {2: _STRIDE * Dim("h", max=_MAX_STRIDES), 3: _STRIDE * Dim("w", max=_MAX_STRIDES)}
    program = torch.onnx.export(
        module,
        (torch.cat([image, image]),),  # two images, because the exporter would treat a batch size of 1 as a constant
        dynamo=True,
        verbose=False,
        input_names=["image"],
        output_names=[output],
        dynamic_shapes=({0: Dim("n"), **sides},),
    )
    assert program is not None  # only torch's older exporter returns None
    program.model.metadata_props.update({name: json.dumps(value) for name, value in facts.items()})
    _save(path, lambda file: program.save(file, external_data=False))


def _load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    session = _import_onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def _import_onnxruntime() -> Any:
    """Import the packages that write and run ONNX files, which are optional, and return onnxruntime."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch.onnx imports it
    except ImportError as error:
        command = 'python -m pip install -c constraints.txt -e ".[export]", from the folder above the bundle'
        raise InputError(f"{error.name} is not installed, which ONNX needs; run {command}") from error
    return onnxruntime


@torch.inference_mode()
def _check_logits(
    path: Path, network: nn.Module, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]
) -> None:
    largest = max(float((network(image) - exported(image)).abs().max()) for image in images)
    if not largest <= _CLOSE:
        raise InputError(f"{path} gives logits that differ by up to {largest:.1e} from PyTorch's; do not use it")
    _logger.info(f"{path}: logits differ by at most {largest:.1e} from PyTorch's")


def _check_masks(
    path: Path, network: nn.Module, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]
) -> None:
    equal = _equal_share(network, exported, images)
    if not equal >= _EQUAL:
        raise InputError(f"{path} gives masks that equal PyTorch's in only {equal:.2%} of the pixels; do not use it")
    _logger.info(f"{path}: masks equal PyTorch's in {equal:.4%} of the pixels")


@torch.inference_mode()
def _equal_share(network: nn.Module, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> float:
    """Return the share of pixels whose masks agree, for the image where it is smallest."""
    return min(float(np.mean((network(image) == exported(image)).numpy())) for image in images)
