# SPDX-License-Identifier: Apache-2.0

"""Export a trained model for other programs: ``python -m scripts.export``, from the bundle's folder."""

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

# settings that whoever uses a file must know, told in its metadata
_FACTS = ("spatial_size", "geometry", "overlap", "color_space", "out_channels", "cleaning")
_STRIDE, _LARGEST = 32, 128  # pixels; times so many of them
_CLOSE = 1e-4  # of logits
_EQUAL = 0.9999  # of pixels
_EQUAL_BY_HALF = 0.999

_logger = logging.getLogger("qtseg")


class ImageToMask(nn.Module):
    """A network with all around it: from images as they are decoded to masks.

    Args:
        network: gives logits.
        color_space: that it was trained in, "RGB" or "YCrCb".
    """

    def __init__(self, network: nn.Module, color_space: str) -> None:
        super().__init__()
        self.network = network
        self.converts = color_space == "YCrCb"
        self.normalize = MinMax()

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: (N, 3, H, W) uint8 RGB; H and W divisible by 32.

        Returns:
            (N, 1, H, W) uint8 label ids.
        """
        values = image.float()
        if self.converts:
            red, green, blue = values.unbind(dim=1)
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            values = torch.stack([luma, (red - luma) * 0.713 + 128, (blue - luma) * 0.564 + 128], dim=1)
            values = values.round().clamp(0, 255)
        return self.network(self.normalize(values)).argmax(dim=1, keepdim=True).to(torch.uint8)


def export(ckpt_dir: Path, output_dir: Path, formats: Sequence[str] = FORMATS, *, half: bool = False) -> list[Path]:
    """Export a model, and check that each file computes what PyTorch does.

    - torchscript, ``model.ts``: images (N, 3, H, W) in [-1, 1] to logits (N, T, H, W); no Python is needed.
    - onnx, ``model.onnx``: the same.
    - onnx_image_to_mask, ``image_to_mask.onnx``: as :py:class:`ImageToMask`.
    - zip, ``qtseg.zip``: the bundle with this model, for ``monai.bundle``. Its ``model.json`` names no file and no
      group, and a plain folder as layout; the training's images are still known by their pixels.

    In ONNX, N, H and W may be any, H and W divisible by 32 and at most 4096; the file's metadata has the model's
    ``spatial_size``, ``geometry``, ``color_space`` and ``out_channels`` as JSON.

    Args:
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        output_dir: folder for the files.
        formats: some of :py:data:`FORMATS`.
        half: whether the model in the zip is stored in half precision, which halves its size. It computes as before.

    Returns:
        The files.

    Raises:
        InputError: if there is no such format, the model cannot be read or is of another network, or a file computes
            something else.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"formats has {unknown[0]!r}; use some of {', '.join(FORMATS)}")
    settings = read_settings(ckpt_dir)
    if overlays_of(settings["network_name"]):
        raise InputError(f"{ckpt_dir} has a model of {settings['network_name']}; only QTSeg can be exported")
    if half and "zip" not in formats:
        raise InputError(f"--half is of the zip alone, and formats are {', '.join(formats)}; add zip, or leave it out")
    network = _network(ckpt_dir, ckpt_dir / "model.pt")
    whole = ImageToMask(network, settings["color_space"]).eval()
    facts = {name: settings[name] for name in _FACTS}
    height, width = settings["spatial_size"]
    # a side of one stride would be taken for a constant; of another size too
    images = [_picture(max(height, 2 * _STRIDE), max(width, 2 * _STRIDE)), _picture(2 * _STRIDE, 3 * _STRIDE)]
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
            _check_logits(path, network, _onnx(path), scaled)
        elif name == "onnx_image_to_mask":
            path = output_dir / "image_to_mask.onnx"
            _save_onnx(path, whole, images[0], "mask", facts)
            _check_masks(path, whole, _onnx(path), images)
            if settings["cleaning"] != NO_CLEANING:
                _logger.warning(f"{path}: masks are not cleaned; its metadata says how evaluation does that")
            if settings["geometry"] == "native":
                _logger.warning(
                    f"{path}: the model knows windows of {height} x {width}, of an image that is scaled as a whole; "
                    "masks like the bundle's take the zip, or model.onnx on windows that overlap"
                )
        else:
            path = output_dir / "qtseg.zip"
            with tempfile.TemporaryDirectory() as folder:
                model = ckpt_dir / "model.pt"
                if half:
                    model = _halved(model, Path(folder))
                    halved = ImageToMask(_network(ckpt_dir, model), settings["color_space"]).eval()
                    equal = _equal(whole, halved, images)
                    if not equal >= _EQUAL_BY_HALF:
                        changed = f"{1 - equal:.2%} of the pixels of masks"
                        raise InputError(f"{changed} are others by weights in half precision; leave out --half")
                    _logger.info(f"{path}: {equal:.4%} of the pixels of masks are those by weights in full precision")
                _save(path, lambda file: pack(ckpt_dir, model, file))
        _logger.info(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
        files.append(path)
    return files


def _network(ckpt_dir: Path, model: Path) -> nn.Module:
    """The network of a model, as its settings in ``ckpt_dir`` say, ready to predict."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.json")
    parser.update({"ckpt_dir": str(ckpt_dir)})
    network: nn.Module = parser.get_parsed_content("network_def")
    load_trained(network, model)
    network.eval()
    fold_batch_norm(network)
    return network


def _halved(model: Path, folder: Path) -> Path:
    """Write the model's weights in half precision, as a file in ``folder``."""
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in read_weights(model).items()
    }
    too_large = [name for name, value in weights.items() if not value.isfinite().all()]
    if too_large:
        raise InputError(f"{model} holds {listed(too_large)} beyond what half precision holds; leave out --half")
    torch.save(weights, folder / "half.pt")
    return folder / "half.pt"


def _picture(height: int, width: int) -> Tensor:
    """A picture with large and fine structures, (1, 3, H, W) uint8."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(rows / a) * torch.cos(columns / b) for a, b in ((3, 40), (17, 11), (50, 5))]
    return (127.5 * (torch.stack(waves) + 1)).round().to(torch.uint8)[None]


def _save(path: Path, write: Callable[[str], Any]) -> None:
    with replacing(path) as partial:
        write(str(partial))


def _save_onnx(path: Path, module: nn.Module, image: Tensor, output: str, facts: Mapping[str, Any]) -> None:
    _import_onnxruntime()
    sides = {2: _STRIDE * Dim("h", max=_LARGEST), 3: _STRIDE * Dim("w", max=_LARGEST)}
    program = torch.onnx.export(
        module,
        (torch.cat([image, image]),),  # of one image, 1 would be taken for a constant
        dynamo=True,
        verbose=False,
        input_names=["image"],
        output_names=[output],
        dynamic_shapes=({0: Dim("n"), **sides},),
    )
    assert program is not None  # only the older exporter returns nothing
    program.model.metadata_props.update({name: json.dumps(value) for name, value in facts.items()})
    _save(path, lambda file: program.save(file, external_data=False))


def _onnx(path: Path) -> Callable[[Tensor], Tensor]:
    session = _import_onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def _import_onnxruntime() -> Any:
    """What writes and runs ONNX files; not on top, as only exports need it."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch.onnx imports it
    except ImportError as error:
        cure = 'python -m pip install -c constraints.txt -e ".[export]", from the folder above the bundle'
        raise InputError(f"{error.name} is not installed, which ONNX needs; run {cure}") from error
    return onnxruntime


@torch.inference_mode()
def _check_logits(path: Path, ours: nn.Module, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> None:
    largest = max(float((ours(image) - exported(image)).abs().max()) for image in images)
    if not largest <= _CLOSE:
        raise InputError(f"{path} gives logits that differ by up to {largest:.1e} from PyTorch's; do not use it")
    _logger.info(f"{path}: logits differ by at most {largest:.1e} from PyTorch's")


def _check_masks(path: Path, ours: nn.Module, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> None:
    equal = _equal(ours, exported, images)
    if not equal >= _EQUAL:
        raise InputError(f"{path} gives masks of which only {equal:.2%} of the pixels are PyTorch's; do not use it")
    _logger.info(f"{path}: {equal:.4%} of the pixels of masks are PyTorch's")


@torch.inference_mode()
def _equal(ours: nn.Module, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> float:
    """The share of the pixels that are equal in the masks of both, of the image that has fewest."""
    return min(float(np.mean((ours(image) == exported(image)).numpy())) for image in images)
