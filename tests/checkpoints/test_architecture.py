# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import re

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import UNet

from forked import run_forked
from scripts.checkpoints import architecture, model_schema
from scripts.checkpoints.architecture import architecture_of, build_qtseg, check_architecture, no_architecture
from scripts.checkpoints.model_schema import PUBLISHED, check_settings
from scripts.common.errors import InputError, explanation
from scripts.networks.blocks import NORMS
from scripts.networks.options import Option
from scripts.networks.qtseg import OPTIONS, QTSeg
from workflows import BUNDLE, CONFIGS

#: another option has its default here, and the names of these three have the values that they had
AS_PUBLISHED = {**{name: option.default for name, option in OPTIONS.items()}, "norm": "batch", "detail": False}
AS_PUBLISHED["refine"] = False
OTHER = {**AS_PUBLISHED, "norm": "group", "detail": True, "refine": True}
NONE = {**no_architecture(), "norm": None, "detail": False, "refine": False}
SMALL = {"features": 4, "num_heads": 2, "mlp_dim": 16, "depths": (1, 1, 1)}


def test_without_weights_it_is_as_published():
    assert architecture_of() == AS_PUBLISHED


@pytest.mark.parametrize("form", [OTHER, AS_PUBLISHED, {**AS_PUBLISHED, "refine": True}], ids=str)
def test_weights_tell_their_form(form, tmp_path):
    network = QTSeg(3, 2, **SMALL, **form)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    assert architecture_of(weights=tmp_path / "model.pt") == form
    encoder = {f"encoder.{name}": value for name, value in network.encoder.state_dict().items()}
    torch.save(encoder, tmp_path / "encoder.pt")
    assert architecture_of(encoder_weights=tmp_path / "encoder.pt") == {**AS_PUBLISHED, "norm": form["norm"]}


def test_a_model_that_goes_on_keeps_its_form():
    assert architecture_of(settings={**PUBLISHED, **OTHER}) == OTHER


def test_no_weights_no_form(tmp_path):
    with pytest.raises(InputError, match="nowhere.pt is no file"):
        architecture_of(weights=tmp_path / "nowhere.pt")


def test_a_model_of_another_network_is_told_before_a_qtseg_is_built(tmp_path):
    settings = {**PUBLISHED, "network_name": "unet", "norm": None, "sha256": ""}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser["ckpt_dir"] = str(tmp_path)
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("network_def")
    assert "such as configs/networks/unet.json, to --config_file" in explanation(error.value)
    parser["norm"] = "layer"
    parser.parse(True)
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("network_def")
    assert "norm is 'layer'; use one of batch, group" in explanation(error.value)


@pytest.mark.parametrize("norm", NORMS)
def test_every_form_is_a_setting(norm, tmp_path):
    assert OPTIONS["norm"].checked(norm) == norm
    check_settings({**PUBLISHED, **OTHER, "norm": norm}, tmp_path)
    assert build_qtseg({**OTHER, "norm": norm}, 3, 2, **SMALL).refinement is not None


def architecture_in(*configs: str, **knobs) -> dict:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in configs])
    parser.update(knobs)
    return parser.get_parsed_content("architecture")


@pytest.mark.parametrize("configs", [("train",), ("train", "evaluate"), ("inference",), ("inference", "ensemble")])
def test_knobs_and_overlays_set_an_architecture_in_every_config(configs, tmp_path):
    model = {} if configs == ("train",) else {"ckpt_dir": str(tmp_path), "checkpoint": str(tmp_path / "model.pt")}
    assert architecture_in(*configs, **model) == AS_PUBLISHED
    assert architecture_in(*configs, **model, detail="true") == {**AS_PUBLISHED, "detail": True}
    overlays = {"qtseg_group": {**AS_PUBLISHED, "norm": "group"}, "qtseg_refined": OTHER}
    for name, expected in overlays.items():
        assert architecture_in(*configs, f"networks/{name}", **model) == expected
    assert architecture_in(*configs, "networks/unet", **model) == no_architecture() == NONE
    by_each = {"norm": None, "detail": False, "refine": False}  # as overlays have it that name each option
    assert architecture_in(*configs, **model, **by_each) == NONE
    (tmp_path / "model.json").write_text(json.dumps({**PUBLISHED, **OTHER, "sha256": ""}))
    assert architecture_in(*configs, **model) == (OTHER if model else AS_PUBLISHED)
    with pytest.raises(RuntimeError) as error:
        architecture_in(*configs, **model, refine="maybe")
    assert "refine is 'maybe'; it must be true or false" in explanation(error.value)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_an_overlay_sets_is_a_name_of_inference(name):
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser[name] = OPTIONS[name].others[0]
    check = next(position for position, part in enumerate(parser["run"]) if "check_names" in str(part))
    assert name in parser.get()
    parser.get_parsed_content(f"run#{check}")
    parser["nrom"] = "group"
    parser.parse(True)
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content(f"run#{check}")
    assert "nrom is no knob of this config and would have no effect; did you mean norm?" in explanation(error.value)


def test_an_option_is_one_row(tmp_path, monkeypatch, caplog):
    """A made-up option is chosen, remembered, read off weights, refused and logged, as its row says."""
    row = Option("stem", "plain", "9.0.0", lambda names: "fine" if "stem.fine" in names else "plain", ("plain", "fine"))
    monkeypatch.setitem(OPTIONS, "stem", row)
    monkeypatch.setattr(model_schema, "PUBLISHED", {**PUBLISHED, "stem": "plain"})
    monkeypatch.setattr(architecture, "PUBLISHED", {**PUBLISHED, "stem": "plain"})
    assert architecture_in("train") == {**AS_PUBLISHED, "stem": "plain"}
    assert architecture_in("train", stem="fine") == {**AS_PUBLISHED, "stem": "fine"}
    older_overlay = {"norm": None, "detail": False, "refine": False}
    assert architecture_in("train", **older_overlay) == no_architecture()
    with pytest.raises(RuntimeError) as error:
        architecture_in("train", stem="coarse")
    assert "stem is 'coarse'; use one of plain, fine" in explanation(error.value)
    assert no_architecture() == {**NONE, "stem": None}
    weights = {**QTSeg(3, 2, **SMALL).state_dict(), "stem.fine": torch.zeros(1)}
    torch.save(weights, tmp_path / "model.pt")
    assert architecture_of(tmp_path / "model.pt") == {**AS_PUBLISHED, "stem": "fine"}
    with pytest.raises(InputError, match="stem is 'plain', but in the weights .* stem is 'fine'; leave all"):
        check_architecture(QTSeg(3, 2, **SMALL), {**AS_PUBLISHED, "stem": "plain"}, weights=tmp_path / "model.pt")
    with pytest.raises(InputError, match='an overlay of your own write .*"refine": false.*, "stem": null'):
        check_architecture(torch.nn.Identity(), {**no_architecture(), "stem": "fine"})


@pytest.mark.parametrize(
    "form",
    [
        {option.name: value}
        for option in OPTIONS.values()
        for value in (option.default, *option.others)
        if value != option.absent
    ],
    ids=str,
)
def test_no_other_network_has_a_form(form, tmp_path):
    other = UNet(2, 3, 2, channels=(4, 8), strides=(2,))
    torch.save(other.state_dict(), tmp_path / "other.pt")
    with pytest.raises(InputError, match="but UNet has no such options; leave them out"):
        check_architecture(other, {**NONE, **form})
    check_architecture(other, NONE, weights=tmp_path / "other.pt")
    check_architecture(QTSeg(3, 2, **SMALL), {**NONE, **form})


def test_a_form_is_that_of_the_weights_to_start_from(tmp_path):
    forms = {"other": OTHER, "plain": {**OTHER, "refine": False}, "published": AS_PUBLISHED}
    forms["refined"] = {**AS_PUBLISHED, "refine": True}
    paths = {name: tmp_path / f"{name}.pt" for name in forms}
    for name, form in forms.items():
        torch.save(QTSeg(3, 2, **SMALL, **form).state_dict(), paths[name])
    network = QTSeg(3, 2, **SMALL, **OTHER)
    check_architecture(network, OTHER, weights=paths["other"])
    check_architecture(network, OTHER, weights=paths["plain"])  # a refinement starts without effect
    told = "in the weights to start from norm is 'batch', detail is False, refine is False.*; leave all of them out"
    with pytest.raises(InputError, match=told):
        check_architecture(network, OTHER, weights=paths["published"])
    with pytest.raises(InputError, match="to start from norm is 'batch', detail is False, refine is True"):
        check_architecture(network, AS_PUBLISHED, weights=paths["refined"])


def test_a_choice_may_add_a_part_to_weights_without_it(tmp_path, monkeypatch):
    def value_in(names):
        return "fine" if "stem.fine" in names else "plain"

    monkeypatch.setitem(OPTIONS, "stem", Option("stem", "plain", "9.0.0", value_in, ("plain", "fine"), "stem."))
    network = QTSeg(3, 2, **SMALL)
    torch.save(network.state_dict(), tmp_path / "plain.pt")
    torch.save({**network.state_dict(), "stem.fine": torch.zeros(1)}, tmp_path / "fine.pt")
    check_architecture(network, {**AS_PUBLISHED, "stem": "fine"}, weights=tmp_path / "plain.pt")
    check_architecture(network, {**AS_PUBLISHED, "stem": "fine"}, weights=tmp_path / "fine.pt")
    with pytest.raises(InputError, match="leave all of them out, or add only --refine true or .*--stem fine$"):
        check_architecture(network, {**AS_PUBLISHED, "stem": "plain"}, weights=tmp_path / "fine.pt")


def test_a_form_without_effect_ends_a_training(blobs, tmp_path):
    files = [str(CONFIGS / "train.json"), str(CONFIGS / "networks" / "unet.json")]
    done = run_forked(
        *("run", "training", "--config_file", str(files), "--bundle_root", str(BUNDLE), "--dataset_dir", str(blobs)),
        *("--ckpt_dir", str(tmp_path / "models"), "--output_dir", str(tmp_path / "eval"), "--norm", "group"),
        cwd=tmp_path,
    )
    told = "norm is 'group', detail is False, refine is False.*, but UNet has no such options"
    assert done.returncode == 1 and re.search(told, done.stderr)


@pytest.mark.parametrize("overlay, expected", [("qtseg_group", {**AS_PUBLISHED, "norm": "group"}), ("unet", NONE)])
def test_the_record_of_a_training_names_the_options(overlay, expected):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), str(CONFIGS / "networks" / f"{overlay}.json")])
    hyperparameters = parser.get_parsed_content("hyperparameters")
    assert {name: hyperparameters[name] for name in OPTIONS} == expected
