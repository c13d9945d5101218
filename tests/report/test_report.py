# SPDX-License-Identifier: Apache-2.0

"""The command that writes a page anew."""

from __future__ import annotations

import sys

import pytest

from evaluations import CURVES, Page, evaluate
from scripts.common.errors import InputError
from scripts.report.__main__ import main
from scripts.report.page import write_report


@pytest.fixture(autouse=True)
def hook(monkeypatch):
    """The command has its failures told as sentences, in the whole process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_the_page_can_be_written_anew_with_the_same_origin(tmp_path, capsys):
    (tmp_path / "curves.csv").write_text(CURVES)
    command = "python -m monai.bundle run --name 'a <b>' --tracking_uri http://me:secret@host"
    folder = evaluate(tmp_path, ["a.png", "b.png"])
    path = write_report(folder, curves=tmp_path / "curves.csv", command=command)
    first = path.read_text()
    assert command.replace("secret", "***") in Page(path).text() and "secret" not in first
    for name in ("Bundle QTSeg", "PyTorch", "MONAI", "Python"):
        assert name in Page(path).text()
    path.unlink()
    main([str(folder)])
    assert capsys.readouterr().out == f"{path}\n" and path.read_text() == first
    other = tmp_path / "other.csv"
    other.write_text("epoch,train_loss\n1,4.5\n")
    main([str(folder), "--curves", str(other)])
    assert "Training loss: 4.5000 in epoch 1" in path.read_text()


def test_a_folder_that_is_no_evaluation_is_named_in_one_sentence(tmp_path, capsys):
    with pytest.raises(InputError) as refused:
        main([str(tmp_path)])
    assert str(tmp_path / "scores.csv") in str(refused.value) and list(tmp_path.iterdir()) == []
    sys.excepthook(InputError, refused.value, None)
    told = capsys.readouterr()
    assert told.out == "" and told.err.splitlines() == [f"error: {refused.value}"]


@pytest.mark.parametrize("words", [[], ["a", "b"], ["a", "--curve_s", "c"]], ids=str)
def test_words_that_the_command_does_not_know(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and "evaluation_dir" in capsys.readouterr().err
