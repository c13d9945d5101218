# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.benchmark.__main__ import main


def test_the_command_writes_table_figures_and_plot(tmp_path: Path, blobs: Path, capsys: pytest.CaptureFixture):
    arguments = ["--sizes", "64", "--rounds", "2", "--batch", "2", "--only", "QTSeg"]
    main([*arguments, "--dataset_dir", str(blobs), "--output_dir", str(tmp_path), "--device", "cpu"])
    table = (tmp_path / "benchmark.md").read_text()
    assert capsys.readouterr().out.strip() == table.strip()
    assert "| QTSeg, folded | 9.21 |" in table and "UNet" not in table
    assert "python -m scripts.benchmark --sizes 64 --rounds 2" in table and " cores, " in table
    figures = json.loads((tmp_path / "benchmark.json").read_text())
    assert figures["size"]["64"]["QTSeg"]["step"]["median"] > 0
    assert figures["journey"]["epoch at 64"]["ratio"] > 0
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--rounds", "1"], "--rounds is 1; a spread takes at least 2"),
        (["--dataset_dir", "nowhere"], "nowhere/images is not a folder; name a folder of images by --images"),
        (["--dataset_dir", "nowhere", "--images", "none"], "none is not a folder; name a folder of images by --images"),
    ],
)
def test_wrong_words_end_it_before_anything_is_measured(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([*words, "--output_dir", str(tmp_path / "out")])
    assert end.value.code == 2 and message in capsys.readouterr().err and list(tmp_path.iterdir()) == []
