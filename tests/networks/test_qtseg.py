# SPDX-License-Identifier: Apache-2.0

"""The whole network, in every setting: shapes, parameters, export."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest
import torch
from monai.networks.utils import eval_mode

from awake import wake
from scripts.networks.qtseg import OPTIONS, QTSeg

# Compiling takes most of the time here, and less for a small network.
SMALL = {"features": 4, "num_heads": 2, "mlp_dim": 16}

# in_channels, out_channels, keyword arguments, batch and size of the image
SETTINGS = {
    "published": (3, 2, {}, (2, 64, 96)),
    "one_channel": (1, 2, {**SMALL, "depths": (1, 1, 1)}, (1, 32, 32)),
    "many_classes": (7, 20, {**SMALL, "depths": (1, 1, 1)}, (1, 96, 32)),
    "odd_width": (3, 2, {"features": 5, "num_heads": 5, "mlp_dim": 16, "depths": (1, 1, 1)}, (3, 64, 32)),
    "deep": (3, 2, {**SMALL, "depths": (2, 1, 3)}, (1, 32, 64)),
    "no_bridge": (3, 2, {**SMALL, "depths": (1, 1, 1), "bridge": False}, (1, 64, 64)),
    "group_norm_and_detail": (3, 3, {**SMALL, "depths": (1, 1, 1), "norm": "group", "detail": True}, (2, 32, 96)),
    **{
        f"{option.name}_{value}": (1, 2, {**SMALL, "depths": (1, 1, 1), option.name: value}, (2, 64, 32))
        for option in OPTIONS.values()
        for value in option.others
    },
    "all_options": (
        3,
        3,
        {**SMALL, "depths": (1, 1, 1), **{option.name: option.others[-1] for option in OPTIONS.values()}},
        (2, 32, 96),
    ),
}


@pytest.fixture(scope="module", params=SETTINGS)
def built(request) -> tuple[QTSeg, torch.Tensor, int]:
    in_channels, out_channels, settings, (batch, height, width) = SETTINGS[request.param]
    torch.manual_seed(0)
    network = QTSeg(in_channels, out_channels, **settings)
    wake(network)
    return network, torch.rand(batch, in_channels, height, width) * 2 - 1, out_channels


def test_logits_have_the_image_size(built):
    network, image, classes = built
    with eval_mode(network):
        assert network(image).shape == (image.shape[0], classes, *image.shape[2:])


def test_parts_meet_at_their_seams(built):
    network, image, classes = built
    height, width = image.shape[2:]
    with eval_mode(network):
        fine, maps = network.encoder(image)
        mixed = network.bridge(maps)
        masks = network.decoder(mixed, fine)
    shapes = [
        (image.shape[0], channels, height // stride, width // stride)
        for channels, stride in zip(network.encoder.out_channels, (8, 16, 32))
    ]
    assert [m.shape for m in maps] == [m.shape for m in mixed] == shapes
    finer = zip(network.encoder.fine_channels, (2, 4))
    assert [m.shape[1:] for m in fine] == [(channels, height // s, width // s) for channels, s in finer]
    assert masks.shape == (image.shape[0], classes, height // 2, width // 2)


def test_every_parameter_learns(built):
    network, image, _ = built
    network.train()
    network.zero_grad()
    several = torch.rand(2, image.shape[1], 64, 64)  # batch normalization needs more than one value a channel
    network(several).square().mean().backward()
    network.eval()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        if not name.endswith("key.bias"):  # softmax drops what all keys share
            assert parameter.grad.abs().max() > 0, name


def test_torchscript(built):
    network, image, _ = built
    network.eval()
    scripted = torch.jit.script(network)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.freeze(scripted), buffer)
    buffer.seek(0)
    frozen = torch.jit.load(buffer)
    smaller, larger = (torch.rand(2, image.shape[1], *size) * 2 - 1 for size in ((64, 32), (256, 160)))
    with torch.no_grad():
        for module, inputs in ((scripted, [image, larger]), (frozen, [image, smaller, larger])):
            for x in inputs:
                torch.testing.assert_close(module(x), network(x), atol=1e-4, rtol=1e-4)
            with pytest.raises(torch.jit.Error, match="divisible by 32"):
                module(image[..., :-1])


# PyTorch looks at the batch before a group normalization
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning")
def test_a_trace_takes_other_sizes(built):
    network, image, _ = built
    network.eval()
    other = torch.rand(2, image.shape[1], 64, 32) * 2 - 1
    with torch.no_grad():
        traced = torch.jit.trace(network, image, check_trace=False)
        torch.testing.assert_close(traced(other), network(other), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["all_options", pytest.param("published", marks=pytest.mark.battery)])
def test_onnx(name, tmp_path):
    torch.manual_seed(0)
    network, image = QTSeg(3, 2, **SETTINGS[name][2]).eval(), torch.rand(1, 3, 64, 96) * 2 - 1
    wake(network)
    path = tmp_path / "network.onnx"
    torch.onnx.export(network, (image,), path, dynamo=True, input_names=["image"], output_names=["logits"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(logits, network(image).numpy(), atol=1e-4, rtol=1e-4)


def test_published_parameter_counts():
    def count(**settings) -> int:
        return sum(p.numel() for p in QTSeg(3, settings.pop("out_channels", 2), **settings).parameters())

    assert count() == 9_214_850
    assert count(bridge=False) == 8_935_426
    assert count(out_channels=3) - count() == 218_496
    assert count(detail=True) - count() == 2_144
    assert count(norm="group") == count()
    assert count(refine=True) - count() == 5_458
    network = QTSeg(3, 2)
    parts = [sum(p.numel() for p in part.parameters()) for part in (network.encoder, network.bridge, network.decoder)]
    assert parts == [2_259_536, 279_424, 6_675_890]


@pytest.mark.parametrize("size", [(33, 64), (64, 48), (1, 1)])
def test_other_sizes_name_the_size_to_pad_to(size):
    with pytest.raises(ValueError, match="divisible by 32") as error:
        QTSeg(3, 2)(torch.zeros(1, 3, *size))
    padded = [-(-side // 32) * 32 for side in size]
    assert f"got {size[0]} x {size[1]}" in str(error.value) and f"{padded[0]} x {padded[1]}" in str(error.value)


@pytest.mark.parametrize(
    "arguments, settings, message",
    [
        ((3, 0), {}, "out_channels must be at least 1: got 0"),
        ((0, 2), {}, "in_channels must be at least 1: got 0"),
        ((3, 2), {"features": 0}, "features must be at least 1: got 0"),
        ((3, 2), {"depths": (1, 2)}, "depths must hold 3 numbers.*got 2"),
        ((3, 2), {"depths": (1, 0, 1)}, "depth must be at least 1: got 0"),
        ((3, 2), {"num_heads": 7}, "num_heads=7 and 64 // 2 = 32; use num_heads=4"),
        ((3, 2), {"num_heads": 0}, "num_heads must be at least 1: got 0"),
        ((3, 2), {"mlp_dim": 0}, "mlp_dim must be at least 1: got 0"),
        ((3, 2), {"norm": "layer"}, "norm must be one of batch, group: got 'layer'"),
    ],
)
def test_bad_settings_name_the_values_and_the_cure(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        QTSeg(*arguments, **settings)
