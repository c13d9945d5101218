# SPDX-License-Identifier: Apache-2.0

"""Tensors meet on one device, wherever the network is; "meta" stands for any that is not the CPU."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from torch import nn

from scripts.checkpoints.model_schema import PUBLISHED
from scripts.training.best_model import SaveBestModel
from scripts.transforms.cleaning import NO_CLEANING
from scripts.transforms.monai_label import ForMonaiLabeld
from workflows import CONFIGS


def test_an_evaluation_has_labels_where_predictions_are():
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in ("train", "evaluate")])
    parser.update({"device": "$torch.device('meta')", "out_channels": 2, "cleaning": NO_CLEANING})
    on_device, on_cpu = torch.zeros(2, 32, 64, device="meta"), torch.zeros(1, 20, 40)
    outputs = {"pred": on_device, "label": on_device[:1], "label_as_read": on_cpu}
    transforms = parser.get_parsed_content("as_the_network_sees") + parser.get_parsed_content("as_it_was")
    outputs = Compose(transforms)(outputs)
    assert outputs["original_label"].shape == (2, 20, 40)
    for key in ("pred", "original_label", "fitted_pred", "label"):  # metrics compare the first two, and the others
        assert outputs[key].device.type == "meta", key


class OnDevice(torch.Tensor):
    """What is true of a GPU's tensor: no NumPy array, and no file for a machine without one, before ``cpu()``."""

    def cpu(self) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a file for this machine alone")


def test_monai_label_gets_masks_that_its_writers_can_write():
    image = MetaTensor(torch.zeros(3, 8, 8), meta={"spatial_shape": [4, 6]})
    mask = ForMonaiLabeld("pred", "image")({"pred": torch.ones(1, 4, 6).as_subclass(OnDevice), "image": image})["pred"]
    assert mask.numpy().shape == (6, 4)


def test_a_model_can_be_read_where_there_is_no_gpu(tmp_path):
    network = nn.Linear(2, 1)
    weights = {name: value.detach().as_subclass(OnDevice) for name, value in network.state_dict().items()}
    network.state_dict = lambda: weights  # type: ignore[method-assign, assignment]
    engine = Engine(lambda engine, batch: None)
    engine.state.best_metric = engine.state.best_metric_epoch = -1  # type: ignore[attr-defined]

    @engine.on(Events.EPOCH_COMPLETED)
    def validated(engine: Engine) -> None:
        engine.state.best_metric, engine.state.best_metric_epoch = 1, engine.state.epoch  # type: ignore[attr-defined]

    SaveBestModel(tmp_path, network, PUBLISHED, run_name="run").attach(engine)
    engine.run([0], max_epochs=1)
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=True)["weight"], network.weight)
