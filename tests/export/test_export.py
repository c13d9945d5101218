# SPDX-License-Identifier: Apache-2.0

"""The command, as its users give it."""

from __future__ import annotations

import logging
import zipfile

import pytest

from scripts.export.__main__ import main


@pytest.fixture(autouse=True)
def log_as_before(monkeypatch):
    """The command sets up the log of its process."""
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    logger = logging.getLogger("qtseg")
    before = logger.level
    yield
    logger.setLevel(before)


def test_the_formats_that_were_named_are_written_and_told(trained, tmp_path, caplog):
    main(["--ckpt_dir", str(trained.ckpt_dir), "--output_dir", str(tmp_path), "--formats", "zip", "--half"])
    (path,) = tmp_path.iterdir()
    assert path.name == "qtseg.zip" and f"{path}: {path.stat().st_size / 1e6:.1f} MB" in caplog.messages
    with zipfile.ZipFile(path) as archive:
        packed = archive.getinfo("qtseg/models/model.pt").file_size
    assert packed < 0.55 * (trained.ckpt_dir / "model.pt").stat().st_size


def test_mistakes_are_one_sentence(trained, tmp_path, capsys):
    model = str(trained.ckpt_dir)
    for words, told in (
        (["--ckpt_dir", model, "--formats", "zip", "tensorrt"], "formats has 'tensorrt'; use some of torchscript"),
        (["--ckpt_dir", model, "--formats", "onnx", "--half"], "--half is for the zip only, and formats are onnx; add"),
        (["--ckpt_dir", str(tmp_path / "none"), "--formats", "zip"], "none/model.pt"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*words, "--output_dir", str(tmp_path / "out")])
        error = capsys.readouterr().err
        assert end.value.code == 1 and error.startswith("error: ") and told in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
