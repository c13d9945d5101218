# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.checkpoints.__main__ import main
from scripts.checkpoints.state_dicts import convert_release
from scripts.networks.qtseg import QTSeg


def test_the_command_converts_a_file(release, tmp_path, capsys):
    torch.save({"state_dict_model": release}, tmp_path / "release.pt")
    assert main([str(tmp_path / "release.pt"), str(tmp_path / "model.pt")]) == 0
    assert "9,214,850 parameters, 3 input channels, width 16, 2 classes" in capsys.readouterr().out
    QTSeg(3, 2).load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "release.pt"]


def test_the_command_converts_an_encoder(release, tmp_path, capsys):
    torch.save({k: v for k, v in release.items() if k.startswith("image_encoder.")}, tmp_path / "fpn.pt")
    assert main([str(tmp_path / "fpn.pt"), str(tmp_path / "encoder.pt")]) == 0
    assert "encoder, 2,259,536 parameters, 3 input channels, width 16" in capsys.readouterr().out


def test_the_command_overwrites_only_when_told(release, tmp_path, capsys):
    torch.save(release, tmp_path / "release.pt")
    (tmp_path / "model.pt").write_text("mine")
    arguments = [str(tmp_path / "release.pt"), str(tmp_path / "model.pt")]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "model.pt exists" in error and "--force" in error and "Traceback" not in error
    assert (tmp_path / "model.pt").read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert len(torch.load(tmp_path / "model.pt", weights_only=True)) == 614


@pytest.mark.parametrize(
    "source, target, message",
    [
        ("nowhere.pt", "model.pt", "nowhere.pt is no file"),
        ("release.pt", "no/folder/model.pt", "is no folder"),
        ("ours.pt", "model.pt", "use it as it is"),
    ],
)
def test_the_command_says_what_is_wrong(release, tmp_path, capsys, source, target, message):
    torch.save(release, tmp_path / "release.pt")
    torch.save(convert_release(release), tmp_path / "ours.pt")
    assert main([str(tmp_path / source), str(tmp_path / target)]) == 1
    assert message in capsys.readouterr().err
