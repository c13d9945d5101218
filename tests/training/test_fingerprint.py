# SPDX-License-Identifier: Apache-2.0

"""Fingerprints are equal for equal trainings, however their configs are written, and messages say what differs."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from pathlib import Path
from pydoc import locate
from types import ModuleType
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset

from scripts.common.command_line import config_of
from scripts.common.errors import InputError
from scripts.common.files import read_json, write_json
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.networks.qtseg import OPTIONS, QTSeg
from scripts.training import fingerprint as module
from scripts.training.fingerprint import check_claim, claim_folder, claim_of, differences, is_same
from workflows import CONFIGS, config_files

#: what depends on the images and the machine
NOT_STORED = ("images", "split_digest", "processes", "ckpt_dir", "dataset_dir", "precision", "batch_size")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where surveys are remembered from one test to the next."""
    return tmp_path_factory.mktemp("fingerprints")


def config(folder: Path, data: Path, *files: str, **knobs: str) -> ConfigParser:
    places = {"dataset_dir": str(data), "output_dir": str(folder), "run_dir": str(folder), "ckpt_dir": str(folder)}
    return config_of([*config_files("train"), *files], {**places, "spatial_size": "[64,64]", "device": "cpu", **knobs})


def fingerprint(folder: Path, data: Path, *files: str, **knobs: str) -> dict[str, Any]:
    return config(folder, data, *files, **knobs).get_parsed_content("fingerprint")


@pytest.fixture(scope="module")
def usual(folder, blobs) -> dict[str, Any]:
    return fingerprint(folder, blobs)


def test_every_section_is_described(usual):
    assert usual["format"] == 1 and usual["processes"] == 1 and len(usual["images"]) == 11
    assert list(usual["sections"]) == list(module._SECTIONS)
    assert usual["sections"]["network"] == {
        "_target_": "build_qtseg",
        "in_channels": 3,
        "out_channels": 2,
    }
    assert usual.keys() > OPTIONS.keys()
    transforms = usual["sections"]["training transforms"]["transforms"]
    assert [transform["_target_"] for transform in transforms] == [
        *("LoadImaged", "LoadImaged", "Fitd", "SpatialPadd", "ClassSharesd", "SpatialPadd", "EnsureTyped")
    ]
    assert transforms[2]["spatial_size"] == [64, 64] and transforms[0]["reader"]["_target_"] == "ImageFileReader"
    transforms = usual["sections"]["validation transforms"]["transforms"]
    assert [transform["_target_"] for transform in transforms][-2:] == ["SharesToIdsd", "Compose"]
    assert usual["sections"]["augmentation"]["augment"]["padding"] == "reflection"
    assert "scripts." not in json.dumps(usual)


def test_a_refactored_config_has_the_same_fingerprint(usual, folder, blobs, tmp_path, monkeypatch):
    raw = json.loads((CONFIGS / "train.json").read_text())
    lists = [name for name, value in raw.items() if isinstance(value, list) and isinstance(value[0], dict)]
    lists = [name for name in lists if re.search(rf"@{name}\b", json.dumps(raw))]
    assert len(lists) > 4  # of transforms
    first = lists[0]
    head, tail = raw[first][:1], raw[first][1:]
    text = json.dumps({f"moved_{name}" if name in lists else name: raw[name] for name in reversed(raw)})
    for name in lists:
        text = re.sub(rf"@{name}\b", f"@moved_{name}", text)
    moved = ModuleType("moved")
    for path in re.findall(r'"(scripts\.(?:transforms|networks|training|inference)[\w.]*\.[A-Z]\w+)"', text):
        setattr(moved, path.rpartition(".")[2], locate(path))
        text = text.replace(f'"{path}"', f'"moved.{path.rpartition(".")[2]}"')
    assert len(vars(moved)) > 10
    monkeypatch.setitem(sys.modules, "moved", moved)
    content = json.loads(text.replace(f"@moved_{first}", "(@its_head + @its_tail)"))
    content |= {"its_head": head, "its_tail": tail}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    places = {"dataset_dir": str(blobs), "output_dir": str(folder), "run_dir": str(folder), "ckpt_dir": str(folder)}
    parser = config_of([str(path)], {**places, "spatial_size": "[64,64]", "device": "cpu"})
    assert parser.get_parsed_content("fingerprint") == usual


@pytest.mark.parametrize(
    "id, value, message",
    [
        ("learning_rate", 0.01, "learning_rate was 0.001 and is 0.01"),
        ("train#loss#smooth_nr", 1e-3, "loss: smooth_nr was 1e-06 and is 0.001"),
        ("train#loss#_target_", "DiceLoss", 'loss was "SoftLabelDiceCELoss" and is "DiceLoss"'),
        ("train#optimizer#fused", False, "optimizer: fused was true and is false"),
        ("train#optimizer#_target_", "torch.optim.SGD", 'optimizer was "AdamW" and is "SGD"'),
        ("train#lr_scheduler#pct_start", 0.5, "schedule: pct_start was the default and is 0.5"),
        ("network_def#bridge", False, "network: bridge was the default and is false"),
        ("augment#max_changes", 2, "augmentation: augment#max_changes was the default and is 2"),
        (
            "train#preprocessing#transforms",
            "$@validate#postprocessing#transforms",
            'training transforms: transforms#0 was "LoadImaged" and is "ArgMaxd"; '
            'training transforms: transforms#1 was "LoadImaged" and is "AsDiscreted"; '
            'training transforms: transforms#2 was "Fitd" and is null; and 4 more',
        ),
        (
            "validate#postprocessing#transforms",
            lambda transforms: transforms[::-1],
            'validation postprocessing: transforms#0 was "ArgMaxd" and is "AsDiscreted"; validation postprocessing: '
            'transforms#1 was "AsDiscreted" and is "ArgMaxd"',
        ),
        (
            "validate#postprocessing#transforms#1#to_onehot",
            3,
            "validation postprocessing: transforms#1#to_onehot was 2 and is 3",
        ),
        ("validate#key_metric#stage", "evaluation", 'choice of the epoch: stage was "validation" and is "evaluation"'),
        ("train#inferer#inferer#_target_", "Other", 'training inferer: inferer was "SimpleInferer" and is "Other"'),
        (
            "validate#inferer#inferer",
            "@train#inferer#inferer",
            'validation inferer: inferer was "SlidingWindowInferer" and is "SimpleInferer"',
        ),
        ("train#sampler#shuffle", False, "sampling: shuffle was the default and is false"),
    ],
)
def test_what_differs_is_named(id, value, message, usual, folder, blobs):
    parser = config(folder, blobs)
    parser.update({id: value(parser.get(id)) if callable(value) else value})
    assert differences(usual, parser.get_parsed_content("fingerprint")) == message


@pytest.mark.parametrize("overlay", ["recipes/paper", "recipes/paper_fives", "networks/unet", "networks/qtseg_refined"])
def test_an_overlay_makes_another_training(overlay, usual, folder, blobs):
    other = fingerprint(folder, blobs, *config_files(overlay))
    assert differences(usual, other)
    is_an_option = overlay == "networks/qtseg_refined"  # the knobs hold the options
    assert (other["sections"] == usual["sections"]) == is_an_option


def test_an_overlay_of_defaults_makes_the_same(usual, folder, blobs):
    assert fingerprint(folder, blobs, *config_files("recipes/one_cycle", "networks/qtseg")) == usual


def test_what_an_earlier_version_did_not_know_is_no_difference_at_its_default(usual, monkeypatch):
    monkeypatch.setattr(module, "_defaults", lambda: {"fold": 0, "norm": "batch", "stratify": False, "smoothing": 0.1})
    earlier = {name: value for name, value in usual.items() if name not in ("fold", "norm", "stratify")}
    assert is_same(earlier, usual) and not is_same({**earlier, "format": 0}, usual)
    assert differences(earlier, {**usual, "stratify": True}) == "stratify was null and is true"
    assert differences(earlier, {**usual, "norm": "group"}) == 'norm was null and is "group"'
    assert differences({**earlier, "smoothing": 0.1}, usual) == "smoothing was 0.1 and is null"
    gone = 'fold was 0 and is null; stratify was false and is null; norm was "batch" and is null'
    assert differences(usual, earlier) == gone


def test_a_training_that_this_version_began_at_first_goes_on(usual, blobs, tmp_path):
    """Whoever must change the stored file, because the default training computes something else, ends all trainings."""
    stored = read_json(Path(__file__).parents[1] / "golden_data" / "fingerprint_0.4.0.json")
    assert stored["sections"].keys() == usual["sections"].keys()
    without_new = {name: value for name, value in usual.items() if name in (*stored, *NOT_STORED)}
    begun = {**without_new, **stored, "ckpt_dir": str(tmp_path)}
    write_json(tmp_path / "train_1" / "run.json", {"status": "running", "batch_size": 32, "fingerprint": begun})
    assert fingerprint(tmp_path, blobs)["intensities"] == "percentiles"  # nothing to go on with
    (tmp_path / "train_1" / "checkpoint_epoch=1_step=4_0123456789abcdef.pt").touch()
    now = fingerprint(tmp_path, blobs)
    assert is_same(begun, now) and now["intensities"] == "min_max"
    # the run is then recorded anew, and can be cut off again
    write_json(tmp_path / "train_1" / "run.json", {"status": "running", "batch_size": 32, "fingerprint": now})
    assert is_same(now, fingerprint(tmp_path, blobs))
    other = fingerprint(tmp_path, blobs, intensities="percentiles")
    assert differences(begun, other) == 'intensities was "min_max" and is "percentiles"'
    assert fingerprint(tmp_path, blobs, resume="false")["intensities"] == "percentiles"


def test_the_defaults_are_those_of_the_knobs_and_of_the_published_network():
    defaults = module._defaults()
    expected = {"fold": 0, "label_fit": "shares", "intensities": "min_max", "norm": "batch", "refine": False}
    assert {name: defaults[name] for name in expected} == expected


def test_an_argument_at_its_default_is_no_difference(usual, folder, blobs):
    parser = config(folder, blobs)
    parser.update({"train#optimizer#betas": [0.9, 0.999]})
    assert parser.get_parsed_content("fingerprint") == usual


def test_what_has_no_effect_is_not_compared(usual, folder, blobs):
    knobs = {"num_workers": "1", "cache_rate": "0.5", "max_pixels": "10000", "save_interval": "1", "run_name": "mine"}
    knobs["validate#handlers"] = "[]"
    assert fingerprint(folder, blobs, **knobs) == usual


def test_the_seed_and_what_a_machine_chooses_are_not_claimed(folder, blobs):
    claim = claim_of(config(folder, blobs))
    assert claim["format"] == 1 and claim["precision"] is None and re.fullmatch(r"\w{12}", claim["images_digest"])
    assert claim.keys().isdisjoint({"seed", "ckpt_dir", "images", "split"})
    parser = config(folder, blobs, seed="1")
    parser.update({"hyperparameters": {**parser.get_parsed_content("hyperparameters"), "precision": "bfloat16"}})
    other = claim_of(parser)
    assert differences(claim, other) == differences({}, {"split_digest": other["split_digest"]}).replace(
        "null", json.dumps(claim["split_digest"])
    )  # folds are drawn with the seed; contests and cross-validations hand the split on as a file
    assert other["sections"] == claim["sections"]


def test_nothing_is_built_and_no_image_is_read_twice(blobs, tmp_path, monkeypatch):
    lock, calls = threading.Lock(), Counter()

    def counted(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def counting(self: Any, *arguments: Any, **named: Any) -> Any:
            with lock:
                calls[f"{owner.__name__}.{name}"] += 1
            return method(self, *arguments, **named)

        monkeypatch.setattr(owner, name, counting)

    for owner in (QTSeg, CacheDataset, torch.optim.AdamW):
        counted(owner, "__init__")
    for owner, name in ((ImageFileReader, "get_data"), (ImageFileReader, "plain"), (MaskFileReader, "read_parts")):
        counted(owner, name)
    parser = config(tmp_path, blobs, geometry="native")
    state = torch.get_rng_state()
    parser.get_parsed_content("fingerprint")
    assert torch.equal(torch.get_rng_state(), state)
    assert calls == {"ImageFileReader.plain": 11, "MaskFileReader.read_parts": 11}
    built = parser.ref_resolver.resolved_content
    assert not {"network_def", "network", "unfinished", "train::dataset", "train::loss", "train::handlers"} & set(built)


def test_a_folder_is_claimed_once(tmp_path):
    path = tmp_path / "training.json"
    claim = {"format": 1, "learning_rate": 0.1, "sections": {"loss": {"_target_": "DiceLoss", "sigmoid": True}}}
    for _ in range(2):
        claim_folder(path, claim)
    assert read_json(path) == claim
    other = {**claim, "sections": {"loss": {"_target_": "DiceLoss", "sigmoid": False}}}
    with pytest.raises(InputError) as refused:
        claim_folder(path, other)
    assert str(refused.value) == (
        f"{tmp_path} is of another training (loss: sigmoid was true and is false); set it as it was, move it away, or "
        "give another --output_dir"
    )
    assert read_json(path) == claim
    write_json(path, {"learning_rate": 0.1, "config_digest": "0123456789ab"})
    with pytest.raises(InputError) as refused:
        claim_folder(path, claim)
    assert str(refused.value) == (
        f"{tmp_path} was begun by an earlier version of the bundle, whose trainings cannot be compared with those of "
        "this one; give another --output_dir, or go on with the version that began it"
    )


@pytest.mark.parametrize(
    "begun, now",
    [([[{"_target_": "A", "a": 1}]], [[{"_target_": "A", "a": 2}]]), ([1], [1, {"_target_": "A"}]), ({"a": 1}, "A")],
)
def test_no_difference_is_passed_over(begun, now, tmp_path):
    with pytest.raises(InputError, match="loss"):
        check_claim(tmp_path, {"sections": {"loss": begun}}, {"sections": {"loss": now}})
