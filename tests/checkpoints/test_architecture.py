# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import UNet

from scripts.checkpoints.architecture import check_form, check_norm, form_of
from scripts.checkpoints.model_schema import PUBLISHED, check_settings
from scripts.common.errors import InputError, explanation
from scripts.networks.blocks import NORMS
from scripts.networks.qtseg import QTSeg
from workflows import BUNDLE, CONFIGS, run_command

AS_PUBLISHED = {"norm": "batch", "detail": False, "refine": False}
OTHER = {"norm": "group", "detail": True, "refine": True}
SMALL = {"features": 4, "num_heads": 2, "mlp_dim": 16, "depths": (1, 1, 1)}


def test_without_weights_it_is_as_published():
    assert form_of() == AS_PUBLISHED


@pytest.mark.parametrize("form", [OTHER, AS_PUBLISHED, {**AS_PUBLISHED, "refine": True}], ids=str)
def test_weights_tell_their_form(form, tmp_path):
    network = QTSeg(3, 2, **SMALL, **form)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    assert form_of(weights=tmp_path / "model.pt") == form
    encoder = {f"encoder.{name}": value for name, value in network.encoder.state_dict().items()}
    torch.save(encoder, tmp_path / "encoder.pt")
    assert form_of(encoder_weights=tmp_path / "encoder.pt") == {**AS_PUBLISHED, "norm": form["norm"]}


def test_a_model_that_goes_on_keeps_its_form():
    assert form_of(settings={**PUBLISHED, **OTHER}) == OTHER


def test_no_weights_no_form(tmp_path):
    with pytest.raises(InputError, match="nowhere.pt is no file"):
        form_of(weights=tmp_path / "nowhere.pt")


def test_a_model_of_another_network_is_told_before_a_qtseg_is_built(tmp_path):
    settings = {**PUBLISHED, "network_name": "unet", "norm": None, "sha256": ""}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser["ckpt_dir"] = str(tmp_path)
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("network_def")
    assert "such as configs/networks/unet.json, to --config_file" in explanation(error.value)
    with pytest.raises(InputError, match="norm is 'layer'; use one of batch, group"):
        check_norm("layer")


@pytest.mark.parametrize("norm", NORMS)
def test_every_form_is_a_setting(norm, tmp_path):
    assert check_norm(norm) == norm
    check_settings({**PUBLISHED, **OTHER, "norm": norm}, tmp_path)


@pytest.mark.parametrize(
    "form", [{"norm": "group"}, {"norm": "batch"}, {"detail": True}, {"refine": True}], ids=str
)
def test_no_other_network_has_a_form(form, tmp_path):
    other = UNet(2, 3, 2, channels=(4, 8), strides=(2,))
    torch.save(other.state_dict(), tmp_path / "other.pt")
    none = {"norm": None, "detail": False, "refine": False}
    with pytest.raises(InputError, match="but UNet has no form that they set; leave them out"):
        check_form(other, **{**none, **form})
    check_form(other, **none, weights=tmp_path / "other.pt")
    check_form(QTSeg(3, 2, **SMALL), **{**none, **form})


def test_a_form_is_that_of_the_weights_to_start_from(tmp_path):
    forms = {"other": OTHER, "plain": {**OTHER, "refine": False}, "published": AS_PUBLISHED}
    forms["refined"] = {**AS_PUBLISHED, "refine": True}
    paths = {name: tmp_path / f"{name}.pt" for name in forms}
    for name, form in forms.items():
        torch.save(QTSeg(3, 2, **SMALL, **form).state_dict(), paths[name])
    network = QTSeg(3, 2, **SMALL, **OTHER)
    check_form(network, **OTHER, weights=paths["other"])
    check_form(network, **OTHER, weights=paths["plain"])  # a refinement starts as none
    told = "of the weights to start from norm is 'batch', detail is False, refine is False; leave all of them out"
    with pytest.raises(InputError, match=told):
        check_form(network, **OTHER, weights=paths["published"])
    with pytest.raises(InputError, match="to start from norm is 'batch', detail is False, refine is True"):
        check_form(network, **AS_PUBLISHED, weights=paths["refined"])


def test_a_form_without_effect_ends_a_training(blobs, tmp_path):
    files = [str(CONFIGS / "train.json"), str(CONFIGS / "networks" / "unet.json")]
    done = run_command(
        *("run", "training", "--config_file", str(files), "--bundle_root", str(BUNDLE), "--dataset_dir", str(blobs)),
        *("--ckpt_dir", str(tmp_path / "models"), "--output_dir", str(tmp_path / "eval"), "--norm", "group"),
        cwd=tmp_path,
    )
    told = "norm is 'group', detail is False, refine is False, but UNet has no form"
    assert done.returncode == 1 and told in done.stderr
