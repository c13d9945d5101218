# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
import os
import shlex
import sys

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from evaluations import HEIGHT, MISSED, WIDTH, evaluate
from scripts.report.cases import mask_path
from scripts.report.handler import SaveReport


def ids(path) -> np.ndarray:
    with Image.open(path) as mask:
        assert mask.mode == "P"
        return np.asarray(mask)


def test_masks_and_labels_are_kept_with_their_ids(tmp_path):
    folder = evaluate(tmp_path, ["a.b.png", "b.png", "c.png", "d.png"], num_classes=3)
    for name, number in (("a.b", MISSED), ("d", 3)):
        image = str(tmp_path / "images" / f"{name}.png")
        mask, label = (mask_path(folder / kind, image) for kind in ("masks", "labels"))
        assert mask.name == label.name and mask.stem.startswith(f"{name}_")
        with Image.open(mask) as opened:
            assert opened.mode == "P"
        with Image.open(tmp_path / "true" / f"{number}.png") as true:
            assert np.array_equal(ids(label), np.asarray(true))
        assert ids(mask).shape == (HEIGHT, WIDTH)
        assert np.unique(ids(mask)).tolist() == ([0] if number == MISSED else [0, 1, 2])
    assert len(list((folder / "masks").iterdir())) == len(list((folder / "labels").iterdir())) == 4


def test_images_of_one_name_in_two_folders_keep_masks_of_their_own(tmp_path):
    folder = evaluate(tmp_path, ["patient 1/scan.png", "patient 2/scan.png"])
    assert len({path.name for path in (folder / "masks").glob("scan_*.png")}) == 2
    assert "patient 1/scan.png" in (folder / "report.html").read_text()


def test_the_longest_names_of_files_find_room(tmp_path):
    names = ["ä" * 125 + ".png", "ä" * 124 + "b.png"]  # 254 and 253 bytes, of the 255 that file systems allow
    folder = evaluate(tmp_path, names)
    assert len(list((folder / "masks").iterdir())) == 2
    assert "No pictures" not in (folder / "report.html").read_text()


def test_the_end_says_where_the_page_is_and_what_was_run(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="qtseg")
    arguments = ["python", "-m", "monai.bundle", "--config_file", "['a.json','b.json']", "--dir", "it's $HOME"]
    monkeypatch.setattr(sys, "orig_argv", arguments)
    folder = evaluate(tmp_path, ["a.png"])
    assert f"{folder / 'report.html'}" in caplog.messages[-1]
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["command"].startswith("""python -m monai.bundle --config_file "['a.json','b.json']" --dir '""")
    assert shlex.split(provenance["command"]) == arguments
    assert provenance["folder"] == os.getcwd() and "curves" not in provenance


def test_other_processes_save_masks_but_write_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    mask = torch.stack([torch.ones(2, 3), torch.zeros(2, 3)])
    item = {
        "image": MetaTensor(torch.zeros(1, 2, 3), meta={"filename_or_obj": "a.png"}),
        "pred": mask,
        "original_label": mask,
    }
    engine = Engine(lambda engine, batch: batch)
    SaveReport(tmp_path).attach(engine)
    engine.run([[item]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "masks"]
