# SPDX-License-Identifier: Apache-2.0

"""The configs hold together: every name resolves, and what the format makes us write twice is the same twice."""

from __future__ import annotations

import configparser
import json
import logging
import re
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator
from monai.transforms import Compose
from monai.utils import optional_import

import images
from scripts.common.score_table import parse_name
from scripts.transforms.augmentation import collate
from workflows import BUNDLE, CONFIGS

ALL = sorted(CONFIGS.rglob("*.json"))
ROOT = BUNDLE.parent


def read(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


def components(config, path=""):
    """Every component in a config, with its path."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield path, config
        for key, value in config.items():
            yield from components(value, f"{path}#{key}")
    elif isinstance(config, list):
        for index, value in enumerate(config):
            yield from components(value, f"{path}#{index}")


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_every_target_resolves(path):
    locator = ComponentLocator()
    for place, component in components(json.loads(path.read_text())):
        target = component["_target_"]
        if "." in target:
            module, name = target.rsplit(".", 1)
            _, found = optional_import(module, name=name)
            assert found, f"{place}: {target}"
        else:
            assert locator.get_component_module_name(target), f"{place}: {target}"


@pytest.mark.parametrize(
    "names",
    [
        ("train",),
        ("train", "evaluate"),
        ("inference",),
        ("train", "multi_gpu_train"),
        ("train", "evaluate", "multi_gpu_evaluate"),
        ("train", "datasets/dsb2018", "evaluate"),
        ("train", "datasets/fives", "recipes/paper_fives", "paper_protocol"),
        ("inference", "ensemble"),
        ("train", "networks/unet", "recipes/paper"),
        ("train", "networks/unet", "recipes/paper", "evaluate"),
        ("inference", "networks/unet"),
    ],
    ids="+".join,
)
def test_every_reference_is_defined(names):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in names])
    parser.parse()
    for item in parser.ref_resolver.items.values():
        for reference in re.findall(r"@([\w#:]+)", item.get_config()) if isinstance(item.get_config(), str) else []:
            assert reference in parser, f"{item.get_id()}: @{reference}"


def test_metrics_that_are_named_elsewhere_are_defined():
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in ("train", "evaluate")])
    metrics = (parser.get_parsed_content(f"validate#{name}") for name in ("key_metric", "additional_metrics"))
    scores = [name for each in metrics for name in each]
    for prefix in read("evaluate")["validate#handlers"][0]["protocols"]:
        assert any(parse_name(score).prefix == prefix for score in scores)
    assert "train_loss" in read("train")["train"]["key_metric"]  # the line an epoch prints it


def test_copies_that_the_format_forces_are_equal():
    train, inference = read("train"), read("inference")
    assert train["network_def"] == inference["network_def"]
    assert train["image_reader"].items() <= inference["image_reader"].items()
    one_process, several = read("multi_gpu_train"), read("multi_gpu_evaluate")
    for name in ("device", "initialize", "finalize", "validate#sampler"):
        assert one_process[name] == several[name]
    assert inference["load"] == train["load"][:1] and inference["native"] == train["native"]
    assert inference["fit"][-1] == train["normalize"][0]["transforms"][0]
    assert inference["knobs"]["precision"] == train["knobs"]["precision"]
    (ours,), (theirs,) = read("evaluate")["to_original"], inference["to_original"]
    assert {**ours, "transform": None} == {**theirs, "transform": None}


def test_the_best_model_and_the_training_state_lie_apart():
    train = read("train")
    assert train["validate"]["handlers"][0]["ckpt_dir"] == "@ckpt_dir"
    last = train["train"]["handlers"][-1]  # it saves what the others have made of an epoch
    assert last["_target_"].endswith(".TrainingState") and last["folder"] == "@run_dir"
    assert train["run_dir"]["output_dir"] == "@output_dir"


def test_a_training_on_synthetic_images_leaves_the_model_of_your_own_alone(blobs):
    parser = ConfigParser()
    parser.read_config(CONFIGS / "train.json")
    parser.update({"bundle_root": "b", "output_dir": "o"})
    assert parser.get_parsed_content("ckpt_dir") == "o"
    parser["dataset_dir"] = str(blobs)
    parser.parse(reset=True)
    assert parser.get_parsed_content("ckpt_dir") == "b/models"
    for names in (["train", "evaluate"], ["inference"]):
        parser = ConfigParser()
        parser.read_config([str(CONFIGS / f"{name}.json") for name in names])
        parser["bundle_root"] = "b"
        assert parser.get_parsed_content("ckpt_dir") == "b/models"


def test_handlers_of_one_process_are_off_in_the_others():
    train = read("train")
    for place, component in components(train):
        name = component["_target_"].rsplit(".", 1)[-1]
        if name.endswith(("Saver", "StatsHandler", "Tracker", "SaveBestModel")):
            assert component["_disabled_"] == "$not @is_main_process", place


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("networks/*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("base", ["train", "inference"])
def test_every_network_takes_the_place_of_the_bundles_own(base, path):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{base}.json"), str(path)])
    parser["out_channels"] = 3
    # a model.json remembers by itself which of them it is
    of_qtseg = ("qtseg", "qtseg_detail", "qtseg_group", "qtseg_refined")
    assert parser.get_parsed_content("network_name") == ("qtseg" if path.stem in of_qtseg else path.stem)
    network = parser.get_parsed_content("network_def").eval()
    assert parser["network_def"]["in_channels"] == 3  # the check of the memory asks for it
    with torch.no_grad():
        logits = network(torch.zeros(2, 3, 64, 96))
    assert isinstance(logits, torch.Tensor) and logits.shape == (2, 3, 64, 96)
    assert sum(parameter.numel() for parameter in network.parameters()) < 12e6
    assert "encoder" in json.loads(path.read_text()) or hasattr(network, "encoder")


@pytest.mark.parametrize("name, thought_of", [
    ("qtseg", True), ("qtseg_group", True), ("qtseg_detail", True), ("qtseg_refined", False),
    ("qtseg_without_bridge", False), ("unet", False),
])
def test_what_helps_with_small_objects_is_thought_of_where_the_network_can_have_more_of_it(name, thought_of):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), str(CONFIGS / "networks" / f"{name}.json")])
    assert parser.get_parsed_content("data_check#for_small") != thought_of


def test_torchscript_export_gives_the_same_logits(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(BUNDLE)
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(trained.ckpt_dir / "model.pt"),
        meta_file="configs/metadata.json",
        config_file=["configs/inference.json"],
        ckpt_dir=str(trained.ckpt_dir),
        input_shape=[1, 3, 64, 64],
    )
    scripted = torch.jit.load(tmp_path / "model.ts")
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser["ckpt_dir"] = str(trained.ckpt_dir)
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(trained.ckpt_dir / "model.pt", weights_only=True))
    image = torch.rand(1, 3, 96, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(scripted(image), network(image), atol=1e-4, rtol=1e-4)


def test_the_log_goes_to_standard_output_without_the_libraries_chatter():
    config = configparser.RawConfigParser()
    config.read(CONFIGS / "logging.conf")
    assert config["logger_root"]["level"] == "WARNING" and config["logger_qtseg"]["level"] == "INFO"
    assert config["handler_console"]["args"] == "(sys.stdout,)"
    assert logging.getLevelName(config["handler_console"]["level"]) == logging.INFO


def test_nothing_personal_is_in_the_configs():
    for path in ALL:
        assert not re.search(r'"(/|~|[A-Z]:\\)', path.read_text()), path


def test_the_license_is_in_the_bundle():
    assert (BUNDLE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert Path(BUNDLE / "docs" / "data_license.txt").is_file()


@pytest.mark.parametrize(
    "overlays, shares",
    [
        ([], True),
        (["recipes/one_cycle"], True),
        (["paper_protocol", "recipes/one_cycle"], True),
        (["recipes/paper"], False),
        (["recipes/paper_fives", "paper_protocol"], False),
    ],
)
def test_labels_keep_shares_but_for_the_papers_recipe(overlays, shares):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in ("train", *overlays)])
    parser["spatial_size"] = [32, 32]
    label = torch.zeros(1, 64, 48, dtype=torch.uint8)
    label[:, 11:40, 9:30] = 1  # odd pixels, which a half is between
    trained, scored = (Compose(parser.get_parsed_content(f"label_to_{use}")) for use in ("train", "score"))
    found, ids = trained({"label": label})["label"], scored({"label": label})["label"]
    assert found.shape == ids.shape == (1, 32, 32) and found[:, :, 24:].max() == ids[:, :, 24:].max() == 0
    nearest, largest = label[:, ::2, ::2], (torch.nn.functional.avg_pool2d(label.float(), 2) >= 0.5).to(torch.uint8)
    if shares:
        assert set(found.unique().tolist()) == {0, 64, 128, 255}
        assert torch.equal(ids[:, :, :24], largest)
    else:
        assert torch.equal(found[:, :, :24], 255 * nearest) and torch.equal(ids[:, :, :24], nearest)
    assert parser.get_parsed_content("augment").label_mode == ("bilinear" if shares else "nearest")


@pytest.mark.parametrize("geometry", ["fit", "native"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_step_takes_the_share_of_each_class(geometry, num_classes, tmp_path):
    ids = np.zeros((70, 90), np.uint8)
    ids[11:40, 9:30] = num_classes - 1
    items = [{name: str(images.save(tmp_path / f"{name}.png", ids)) for name in ("image", "label")}] * 2
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "train.json"))
    parser.update({"geometry": geometry, "spatial_size": [32, 32], "out_channels": num_classes, "used_batch_size": 8})
    parser["augment#max_changes"] = 0
    load, prepare = (parser.get_parsed_content(f"train#{name}") for name in ("preprocessing", "trainer#prepare_batch"))
    image, shares = prepare(collate([load(item) for item in items]), torch.device("cpu"), False)
    assert shares.shape == (len(image), num_classes, 32, 32) and shares.dtype == torch.float32
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(image), 32, 32))
    assert shares[:, -1].max() == 1 and shares[:, 1:-1].sum() == 0
    if geometry == "fit":
        height, width = 25, 32  # of the fitted image
        assert shares[0, -1].sum().item() == pytest.approx((ids > 0).mean() * height * width, rel=0.02)
        assert ((shares > 0.1) & (shares < 0.9)).any()
    else:
        assert len(image) == 8 and set(shares.unique().tolist()) == {0, 1}
